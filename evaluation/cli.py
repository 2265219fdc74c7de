"""The program python -m evaluation: finds the subcommand, reads its flags, loads and runs it."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module

from core.errors import NotFound
from core.guard import guard
from core.program import GOES_ON, exit_code
from core.starting import STOPPED

from .flags import COMMANDS, PASSING_ON, RESULTS, parser


def check_tools(options: argparse.Namespace) -> None:
    """NotFound for a path of what measures that is not there: what lacks it would only be left out."""
    for folder in getattr(options, "weights", []):
        if not folder.is_dir():
            raise NotFound(f"--weights {folder}: no such folder; check the path")
    python = getattr(options, "mediapipe_python", None)
    if python is not None and shutil.which(python) is None:
        raise NotFound(f"--mediapipe_python {python}: no such program; give the python of an environment that has"
                       " mediapipe")  # fmt: skip


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
        check_tools(options)
        code = import_module(f"evaluation.commands.{name}").run(options, flags) or 0

    return exit_code(work, stopped=GOES_ON if name in PASSING_ON else STOPPED) or code
