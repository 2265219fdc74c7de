"""Which source frame each frame of the result shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from video import VideoInfo, read_frames

from .settings import Extend, Settings

REVERSE_BYTES = 256 * 2**20  # of frames held in memory to play a stretch backwards


@dataclass(frozen=True)
class Plan:
    """`frames` frames made of a video's first `source` frames, in the order that `extend` says."""

    source: int
    frames: int
    extend: Extend

    def __post_init__(self) -> None:
        if self.source < 1 or self.frames < 1:
            raise ValueError(f"a result of {self.frames} frames from {self.source} cannot be")

    def __getitem__(self, k: int) -> int:
        """The source frame that frame k of the result shows."""
        if k < self.source or self.source == 1:
            return min(k, self.source - 1)
        if self.extend == "hold":
            return self.source - 1
        if self.extend == "loop":
            return k % self.source
        phase = k % (2 * self.source - 2)
        return min(phase, 2 * self.source - 2 - phase)

    @property
    def used(self) -> int:
        """How many of the source frames appear: always the first ones."""
        return min(self.source, self.frames)

    def read(self, path: Path, frame_bytes: int) -> Iterator[NDArray[np.uint8]]:
        """The frames of the result, in order.  Memory: one frame, or REVERSE_BYTES where it runs backwards."""
        for direction, first, count in self._runs():
            if direction == 0:
                frame = next(read_frames(path, start=first, stop=first + 1))
                yield from (frame for _ in range(count))
            elif direction > 0:
                yield from read_frames(path, start=first, stop=first + count)
            else:
                yield from _backwards(path, first - count + 1, first + 1, max(1, REVERSE_BYTES // frame_bytes))

    def _runs(self) -> Iterator[tuple[int, int, int]]:
        """Stretches of constant direction: (step, first source frame, how many frames)."""
        k = 0
        while k < self.frames:
            step = self[k + 1] - self[k] if k + 1 < self.frames else 1
            count = 1
            while k + count < self.frames and self[k + count] - self[k + count - 1] == step:
                count += 1
            yield step, self[k], count
            k += count


def _backwards(path: Path, start: int, stop: int, block: int) -> Iterator[NDArray[np.uint8]]:
    """Frames stop-1, stop-2, ... start, read forwards a block at a time."""
    while stop > start:
        low = max(start, stop - block)
        yield from reversed(list(read_frames(path, start=low, stop=stop)))
        stop = low


def make_plan(info: VideoInfo, sound_seconds: float, settings: Settings) -> Plan:
    """The plan for a video and a sound of `sound_seconds`; a result has at least one frame."""
    heard = max(1, round(Fraction(sound_seconds) * info.fps))
    frames = {"audio": heard, "video": info.frames, "shortest": min(heard, info.frames)}[settings.length]
    return Plan(1 if settings.first_frame else info.frames, frames, settings.extend)
