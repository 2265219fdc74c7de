"""The finished segments of a result that is being made, in a folder beside it.

    result.mp4.parts / IDENTITY / 00000320-00000640.mp4        frames 320..639

A segment appears by a rename, so one that is there is whole, and whatever ends a program leaves it for the next: the
same command goes on from there.  Segments of other settings lie in a folder of another name and are never touched;
they go when a result is finished.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from errors import BadInput
from video import SEGMENT, probe, segment_suffix

Span = tuple[int, int]


class Parts:
    """The segments of one result of `frames` frames, made under one identity."""

    def __init__(self, output: Path, identity: str, codec: str) -> None:
        self.folder = output.with_name(f"{output.name}.parts") / identity
        self._suffix = segment_suffix(codec)

    def path(self, span: Span) -> Path:
        """The file of frames start..stop-1."""
        return self.folder / f"{span[0]:08d}-{span[1]:08d}{self._suffix}"

    def make_folder(self) -> None:
        """BadInput if there can be none."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise BadInput(
                f"{self.folder}: cannot be made ({problem.strerror}); choose another place for the result"
            ) from problem

    def missing(self, spans: Sequence[Span]) -> list[list[Span]]:
        """Those that are not there yet, in runs of neighbours."""
        runs: list[list[Span]] = []
        for span in spans:
            if self.path(span).exists():
                continue
            if runs and runs[-1][-1][1] == span[0]:
                runs[-1].append(span)
            else:
                runs.append([span])
        return runs

    def checked(self, span: Span) -> Path:
        """The file of a segment.  BadInput if it is damaged, as after a power failure; then it is removed."""
        path = self.path(span)
        try:
            whole = probe(path).frames == span[1] - span[0]
        except BadInput:
            whole = False
        if not whole:
            path.unlink()
            raise BadInput(f"{path}: this segment was damaged and is removed; the same command makes it again")
        return path

    def discard(self) -> None:
        """Removes all segments of this identity."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # others are there, or it never was
            self.folder.parent.rmdir()

    def clear(self) -> None:
        """Removes all segments of the result, those of other settings too: it is finished."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)


def spans(frames: int) -> list[Span]:
    """The segments of a result: every video.SEGMENT frames another one begins."""
    return [(first, min(first + SEGMENT, frames)) for first in range(0, frames, SEGMENT)]
