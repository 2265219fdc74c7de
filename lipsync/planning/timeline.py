"""Which source frame each frame of the result shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from core.arrays import Picture
from lipsync.settings import Extend, Settings
from video import VideoInfo, read_backwards, read_frames

REVERSE_BYTES = 64 * 2**20  # of frames held in memory, as they are stored, to play a stretch backwards


@dataclass(frozen=True)
class Plan:
    """`frames` frames at `fps` made of a video's first `source` frames, in the order that `extend` says.

    rate: how many source frames pass from one frame of the result to the next; 1 keeps the video's own speed.
    """

    source: int
    frames: int
    extend: Extend
    fps: Fraction = Fraction(25)
    rate: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.source < 1 or self.frames < 1 or self.fps <= 0 or self.rate <= 0:
            raise ValueError(f"a result of {self.frames} frames from {self.source} cannot be")

    def __getitem__(self, k: int) -> int:
        """The source frame that frame k of the result shows: the one on screen at its time."""
        return self._extended(int(k * self.rate))

    def _extended(self, k: int) -> int:
        """Frame k of the video that goes on forever, at its own rate."""
        if k < self.source or self.source == 1:
            return min(k, self.source - 1)
        if self.extend == "hold":
            return self.source - 1
        if self.extend == "loop":
            return k % self.source
        phase = k % (2 * self.source - 2)
        return min(phase, 2 * self.source - 2 - phase)

    def sources(self, start: int, stop: int) -> tuple[int, int]:
        """The half-open range of source frames that frames start..stop-1 show."""
        shown = {self[k] for k in range(start, min(stop, start + int(2 * self.source / self.rate) + 2))}
        return min(shown), max(shown) + 1

    def frame_at(self, seconds: float) -> int:
        """The frame of the result that begins nearest to a moment, at most the end."""
        return min(max(round(Fraction(seconds) * self.fps), 0), self.frames)

    def read(self, path: Path, frame_bytes: int, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
        """Frames start..stop-1 of the result.  Memory: one frame, or REVERSE_BYTES where it runs backwards."""
        stop = self.frames if stop is None else stop
        if start >= stop:
            return
        first, last = int(start * self.rate), int((stop - 1) * self.rate)
        source = enumerate(self._endless(path, frame_bytes, first, last + 1), first)
        place, picture = next(source)
        for k in range(start, stop):
            while place < int(k * self.rate):
                place, picture = next(source)
            yield picture

    def _endless(self, path: Path, frame_bytes: int, start: int, stop: int) -> Iterator[Picture]:
        """Frames start..stop-1 of the video that goes on forever."""
        for direction, first, count in self._runs(start, stop):
            if direction == 0:
                frame = next(read_frames(path, start=first, stop=first + 1))
                yield from (frame for _ in range(count))
            elif direction > 0:
                yield from read_frames(path, start=first, stop=first + count)
            else:
                held = max(1, 2 * REVERSE_BYTES // frame_bytes)  # stored as 4:2:0, they take half of this
                yield from read_backwards(path, start=first - count + 1, stop=first + 1, held=held)

    def _runs(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Stretches of constant direction: (step of -1, 0 or 1, first source frame, how many frames).

        Back to the first frame, as a loop goes, is no step: another stretch begins there.
        """
        k = start
        while k < stop:
            step, count = 1, 1
            if k + 1 < stop and abs(ahead := self._extended(k + 1) - self._extended(k)) <= 1:
                step = ahead
            while k + count < stop and self._extended(k + count) - self._extended(k + count - 1) == step:
                count += 1
            yield step, self._extended(k), count
            k += count


def make_plan(info: VideoInfo, sound_seconds: float, settings: Settings) -> Plan:
    """The plan for a video and a sound of `sound_seconds`; a result has at least one frame."""
    fps = settings.fps or info.fps
    sound_frames = max(1, round(Fraction(sound_seconds) * fps))
    video_frames = max(1, round(info.seconds * fps))
    shortest = min(sound_frames, video_frames)
    frames = {"audio": sound_frames, "video": video_frames, "shortest": shortest}[settings.length]
    return Plan(1 if settings.first_frame else info.frames, frames, settings.extend, fps, info.fps / fps)
