"""python -m web whose workers are forked from what it has imported (tests.helpers.forked); to be forked itself.

    forked_web.py FILE flags of python -m web...        FILE: a line for each worker, its process and its words
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import web.crew
from tests.helpers import forked
from web.__main__ import main

NOTES = Path(sys.argv[1])


def worker(command: Sequence[str], *, cwd: Path, **_: object) -> forked.Forked:
    """In place of `subprocess.Popen`."""
    process = forked.Forked(command[1:], cwd=cwd, stdin=True, stderr=False)
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(" ".join([str(process.pid), *command]) + "\n")
    return process


if __name__ == "__main__":
    forked.fork_from_here()
    web.crew.subprocess = SimpleNamespace(Popen=worker, PIPE=subprocess.PIPE)  # type: ignore[assignment]
    sys.exit(main(sys.argv[2:]))
