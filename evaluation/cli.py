"""The program python -m evaluation: finds the subcommand, reads its flags, loads and runs it."""

import sys
from collections.abc import Sequence
from importlib import import_module

from core.guard import guard
from core.program import exit_code

from .flags import COMMANDS, PASSING_ON, RESULTS, parser


def main(args: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 5 if something could not be measured; the tables of all else are complete then."""
    words = sys.argv[1:] if args is None else list(args)
    name, rest = (words[0], words[1:]) if words and not words[0].startswith("-") else (RESULTS, words)
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
