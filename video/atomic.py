"""A file that appears whole or not at all."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from errors import BadInput

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """An empty temporary file beside `path`, of the same suffix, renamed over it on success and removed on any failure.

    Until the rename an existing `path` is untouched.  BadInput if it cannot be written there, or the disk is full.
    """
    temporary = path.with_name(f".{token_hex(8)}{path.suffix}")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise BadInput(f"{path}: there is no folder {path.parent}; create it first")
    try:
        _reserve(path, temporary)
        yield temporary
        _rename(temporary, path)
    except OSError as error:
        if error.errno in FULL:
            raise BadInput(f"{path}: the disk is full; free some space or write to another disk") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _reserve(path: Path, temporary: Path) -> None:
    try:
        temporary.touch(exist_ok=False)
    except PermissionError as error:
        raise BadInput(f"{path}: the folder is not writable; choose another or change its permissions") from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise BadInput(f"{path}: the disk is read-only; write to another one") from error
        raise


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except PermissionError as error:
        raise BadInput(f"{path}: cannot be replaced; close the program that has it open, or choose another") from error
