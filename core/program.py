"""How every program here ends: what a problem becomes for whoever called it, and what a signal asks for."""

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, TextIO, cast

from core.errors import BadInput, LipSyncError, OutOfMemory, lacks_memory
from core.progress import tell
from core.starting import STOPPED

ASKING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # Ctrl-C; the system; a terminal that closes; Slurm before the end
GOES_ON = "stopped; the same command goes on there"
DENIED = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ELOOP,
    errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST,
)  # fmt: skip
"""What a system answers where a file is not to be read or written, whatever a program does."""


def exit_code(work: Callable[[], object], *, stopped: str = STOPPED) -> int:
    """Runs a program; a problem that the user can act on becomes one sentence and its exit code, a bug still raises.

    Signals that ask to stop are as Ctrl-C.  Output that cannot be written, or cannot spell a name, changes nothing.
    """
    with forgiving_streams(), _Problems(stopped) as problems, signals(problems.ask):
        work()
    return problems.code


class _Problems:
    """Turns what is raised within into a sentence and `code`, if it is no bug."""

    def __init__(self, stopped: str) -> None:
        self.code, self.asked = 0, False
        self._stopped = stopped

    def __enter__(self) -> "_Problems":
        return self

    def ask(self) -> None:
        """Notes that a signal asked to stop."""
        self.asked = True

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> bool:
        known = said(problem) if problem is not None else None
        broken = known is None and isinstance(problem, Exception) and self.asked
        if isinstance(problem, KeyboardInterrupt) or broken:  # an import that is cut short may end in any error
            return self._end(130, self._stopped)
        return known is not None and self._end(known.exit_code, f"error: {known}")

    def _end(self, code: int, sentence: str) -> bool:
        self.code = code
        tell("error", code=code, text=sentence.removeprefix("error: "))
        sys.stderr.write(f"{sentence}\n")
        return True


def said(problem: BaseException) -> LipSyncError | None:
    """The problem that a user can act on, of anything that was raised; None if it is a bug of ours.

    What lacks memory is told from what libraries say, also where that was taken for damage of a file.
    """
    cause: BaseException | None = problem
    while cause is not None and not isinstance(problem, OutOfMemory):
        if lacks_memory(cause):
            return OutOfMemory(
                f"the memory of this machine does not suffice ({cause}); close other programs, or choose a smaller"
                " --batch, --face_det_batch_size or video"
            )
        cause = cause.__cause__
    if isinstance(problem, OSError) and problem.errno in DENIED and problem.filename is not None:
        reason = f"the system does not allow that ({problem.strerror})"
        return BadInput(f"{problem.filename}: {reason}; correct it, or choose another place")
    return problem if isinstance(problem, LipSyncError) else None


@contextmanager
def signals(told: Callable[[], object] = lambda: None) -> Iterator[None]:
    """While it is open, each signal that asks to stop is as Ctrl-C, once: what ends then is left in peace.

    told: called then.
    Only the main thread receives signals.  One that is ignored from the start, as by nohup, stays so.
    """
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked or number == signal.SIGINT:
            asked = True
            told()
            raise KeyboardInterrupt

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in ASKING if hasattr(signal, name)]
        before = {n: signal.signal(n, stop) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def forgiving_streams() -> Iterator[None]:
    """While it is open, print and progress bars never fail: what cannot be written is dropped."""
    for descriptor in (0, 1, 2):  # else a result could be opened as one of them, and be written into by a library
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(io.TextIOWrapper, Forgiving(stream or io.StringIO())) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


class Forgiving:
    """A text stream that drops what it cannot write, and spells what it cannot spell by its numbers."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As of any text stream."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):
            self._drop()
        return len(text)

    def flush(self) -> None:
        """As of any text stream."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._drop()

    def _drop(self) -> None:
        """What is still held back would fail at the exit."""
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
