"""The finished chunks of a result that is being made, in a folder beside it.

    result.mp4.parts / IDENTITY / 00000320-00000640.mp4        frames 320..639
    result.mp4.parts / IDENTITY / made-by-lip-sync             says that the folder is ours
    result.mp4.parts / lock                                    held by the run that makes it

A chunk appears by a rename, so one that is there is whole, and whatever ends a program leaves it for the next: the
same command goes on from there.  Chunks of other settings lie in a folder of another name and are never touched;
they go when a result is finished.  Of a folder that is not ours nothing is ever removed.
"""

import hashlib
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from core.arrays import Span
from core.errors import BadInput, Unreadable, Unwritable
from core.lock import acquire, release
from video import CHUNK, chunk_suffix, probe

MARK = "made-by-lip-sync"
IDENTITY = re.compile("[0-9a-f]{16}")
LONGEST = 255  # bytes of a file's name


class ChunkStore:
    """The chunks of one result of `frames` frames, made under one identity."""

    def __init__(self, output: Path, identity: str, codec: str) -> None:
        self.output, self.folder = output, folder_of(output) / identity
        self._lock: int | None = None
        self._suffix = chunk_suffix(codec)

    def path(self, span: Span) -> Path:
        """The file of frames start..stop-1."""
        return self.folder / f"{span[0]:08d}-{span[1]:08d}{self._suffix}"

    def make_folder(self) -> None:
        """BadInput if there can be none."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / MARK).touch()
        except OSError as problem:
            raise Unwritable(
                f"{self.folder}: cannot be made ({problem.strerror}); choose another place for the result"
            ) from problem

    def missing(self, chunk_ranges: Sequence[Span]) -> list[list[Span]]:
        """Those that are not there yet, in runs of neighbours."""
        return neighbours([span for span in chunk_ranges if not self.path(span).exists()])

    def checked(self, span: Span) -> Path:
        """The file of a chunk.  BadInput if it is damaged, as after a power failure; then it is removed."""
        path = self.path(span)
        try:
            whole = probe(path).frames == span[1] - span[0]
        except BadInput:
            whole = False
        if not whole:
            path.unlink()
            raise Unreadable(f"{path}: this chunk was damaged and is removed; the same command makes it again")
        return path

    @property
    def held(self) -> bool:
        """Whether this process made the folder its own."""
        return self._lock is not None

    def check_free(self) -> None:
        """BadInput if another run makes this result just now."""
        if self._lock is None and self._lock_file.exists():
            self.hold()

    def hold(self) -> None:
        """From here on no other run may make this result.  BadInput if another one does."""
        if self._lock is None:
            self._lock = acquire(self._lock_file, self.output)

    def let_go(self) -> None:
        """Ends what `hold` began; an empty folder goes."""
        if self._lock is not None:
            release(self._lock_file, self._lock)
            self._lock = None
        with suppress(OSError):  # something is in it, or it never was
            self.folder.parent.rmdir()

    def discard(self) -> None:
        """Removes all chunks of this identity."""
        if (self.folder / MARK).is_file():
            shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """Removes all chunks of the result, those of other settings too: it is finished."""
        for folder in self.folder.parent.iterdir():
            if IDENTITY.fullmatch(folder.name) and (folder / MARK).is_file():
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def _lock_file(self) -> Path:
        return self.folder.parent / "lock"


def folder_of(output: Path) -> Path:
    """Where the chunks of a result lie: RESULT.parts, or the beginning of that and a hash where it is too long."""
    return companion(output, ".parts")


def companion(path: Path, ending: str) -> Path:
    """PATH + ending, with the end of a long name as a hash so that it stays a name: at most 255 bytes."""
    name = f"{path.name}{ending}"
    if len(name.encode(errors="surrogateescape")) > LONGEST:
        digest = hashlib.blake2b(path.name.encode(errors="surrogateescape"), digest_size=8).hexdigest()
        room = LONGEST - len(ending.encode()) - len(digest) - 1
        stem = path.name.encode(errors="surrogateescape")[:room].decode(errors="ignore")
        name = f"{stem}-{digest}{ending}"
    return path.with_name(name)


def chunk_ranges(frames: int) -> list[Span]:
    """The chunks of a result: every video.CHUNK frames another one begins."""
    return [(first, min(first + CHUNK, frames)) for first in range(0, frames, CHUNK)]


def neighbours(spans: Sequence[Span]) -> list[list[Span]]:
    """Runs of ranges in each of which one begins where the one before it ends."""
    runs: list[list[Span]] = []
    for span in spans:
        if runs and runs[-1][-1][1] == span[0]:
            runs[-1].append(span)
        else:
            runs.append([span])
    return runs
