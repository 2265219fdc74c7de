"""The program python -m evaluation: finds the subcommand, reads its flags, loads and runs it."""

import sys
from collections.abc import Sequence
from importlib import import_module

from core.guard import guard
from core.program import exit_code

from .flags import COMMANDS, PASSING_ON, RESULTS, parser


def main(args: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 5 if something could not be measured; the tables of all else are complete then."""
    given = sys.argv[1:] if args is None else list(args)
    name, rest = (given[0], given[1:]) if given and not given[0].startswith("-") else (RESULTS, given)
    if name not in COMMANDS:
        parser(RESULTS).error(f"{name} is no subcommand; there are {', '.join(COMMANDS)}")
    known = parser(name)
    options, flags = known.parse_known_args(rest) if name in PASSING_ON else (known.parse_args(rest), [])
    code = 0

    def work() -> None:
        nonlocal code
        guard(known, options)
        code = import_module(f"evaluation.commands.{name}").run(options, flags) or 0

    return exit_code(work) or code
