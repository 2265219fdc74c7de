"""Ctrl-C while a program of ours still imports what it needs, before `core.program.exit_code` looks after it."""

import os
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself would take longer to import than all that is here
    from types import FrameType, TracebackType

STOPPED = "stopped; nothing was written"
ROOT = os.path.realpath(__file__).rpartition(f"{os.sep}core{os.sep}")[0]


def quiet_start() -> None:
    """From here on an interrupt that nobody catches is a sentence and exit code 130, if the program is one of ours."""
    if not is_ours(sys.argv[0] if sys.argv else ""):
        return
    sys.excepthook = _say_stopped
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with suppress(ValueError):  # of another thread than the main one, which alone receives signals
            signal.signal(signal.SIGINT, interrupt)


def is_ours(program: str) -> bool:
    """Whether what Python was started with lies in our tree, and in no virtual environment or hidden folder there."""
    if program == "-m":  # of a package that is just being imported
        return True
    path = os.path.realpath(program)
    below = path.removeprefix(ROOT + os.sep)
    return path.endswith(".py") and below != path and not below.startswith(".") and "site-packages" not in below


def interrupt(number: int, frame: "FrameType | None") -> None:
    """KeyboardInterrupt; in an import the end, since libraries do not bear one there: some abort, some go on broken."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with suppress(OSError):
                os.write(2, f"{STOPPED}\n".encode())
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def _say_stopped(kind: "type[BaseException]", problem: BaseException, trace: "TracebackType | None") -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, problem, trace)
        return
    sys.stderr.write(f"{STOPPED}\n")
    raise SystemExit(130)
