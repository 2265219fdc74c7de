"""One run at a time: a lock that goes with the process that holds it, however that ends.

Where there are no locks (Windows, some network file systems) nobody is kept out.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import Unwritable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(path: Path, what: Path) -> Iterator[None]:
    """Holds `path`, an empty file that goes at the end, for the work on `what`.

    BadInput if another run holds it, or it cannot be made.
    """
    there = path.parent.exists()
    handle = acquire(path, what)
    try:
        yield
    finally:
        release(path, handle)
        if not there:
            with suppress(OSError):  # a folder made for the lock alone is not left behind
                path.parent.rmdir()


def acquire(path: Path, what: Path) -> int:
    """As `locked`, until `release` is called with what this returns."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as problem:
            raise Unwritable(f"{what}: cannot write there ({problem.strerror}); choose another place") from problem
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            if problem.errno in NO_LOCKS:
                return handle
            os.close(handle)
            raise Unwritable(f"{what}: another run is making it; wait until that has ended, or stop it") from problem
        if _is_at(path, handle):
            return handle
        os.close(handle)  # the run that held it has just removed it


def release(path: Path, handle: int) -> None:
    """Removes the file, then lets go of it: in this order nobody holds a file that is no longer there.

    On Windows, where an open file cannot be removed, the other way round.
    """
    own = _is_at(path, handle)
    if os.name == "nt":
        os.close(handle)
    if own:
        path.unlink(missing_ok=True)
    if os.name != "nt":
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
