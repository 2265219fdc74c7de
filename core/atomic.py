"""A file that appears whole or not at all."""

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from core.errors import NotFound, Unwritable

UNFINISHED = re.compile(r"\.lip-sync-[0-9a-f]{16}\.[a-z0-9]+")
"""What a temporary file is called, so that one which a kill left behind is known as ours."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """An empty temporary file beside `path`, of its suffix: flushed and renamed over it, or removed on any failure.

    Until the rename an existing `path` is untouched.  BadInput if it cannot be written there, or the disk is full.
    """
    check_replaceable(path, str(path))
    temporary = path.with_name(f".lip-sync-{token_hex(8)}{path.suffix}")
    if not path.parent.is_dir():
        raise NotFound(f"{path}: there is no folder {path.parent}; create it first")
    try:
        mode = _reserve(path, temporary)
        yield temporary
        if stat.S_IMODE(temporary.stat().st_mode) != mode:  # safetensors writes files that nobody else can read
            temporary.chmod(mode)
        _flush(temporary)
        _rename(temporary, path)
    except OSError as error:
        if error.errno in FULL:
            raise Unwritable(f"{path}: the disk is full; free some space or write to another disk") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_replaceable(path: Path, who: str) -> None:
    """BadInput, a sentence that begins with `who`, if something is there that is no file: a rename would remove it."""
    if path.is_dir():
        raise Unwritable(f"{who}: is a folder; give the name of a file in it")
    if path.exists() and not path.is_file():
        raise Unwritable(f"{who}: is a pipe or a device, which a file cannot replace; give the name of a file")


def save_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """As `atomic`, for what a function writes; the folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        write(temporary)


def remove_unfinished(folder: Path, *, seconds: float = 0) -> None:
    """Removes what `atomic` left in a folder when a process was killed while it wrote there, so long ago or longer."""
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):
            if UNFINISHED.fullmatch(path.name) and time.time() - path.stat().st_mtime >= seconds:
                path.unlink()


def _reserve(path: Path, temporary: Path) -> int:
    """Makes the file; who may do what with it, as for any file of this user."""
    try:
        temporary.touch(exist_ok=False)
        return stat.S_IMODE(temporary.stat().st_mode)
    except PermissionError as error:
        raise Unwritable(f"{path}: the folder is not writable; choose another or change its permissions") from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise Unwritable(f"{path}: the disk is read-only; write to another one") from error
        raise


def _flush(temporary: Path) -> None:
    with temporary.open("rb+") as file:  # Windows flushes only what may be written
        os.fsync(file.fileno())


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except PermissionError as error:
        raise Unwritable(
            f"{path}: cannot be replaced; close the program that has it open, or choose another"
        ) from error
