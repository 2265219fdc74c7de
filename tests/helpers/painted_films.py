"""Films of a painted face, who finds it, and who judges its sound."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from audio import Mel
from dataset.source import Source
from dataset.sync_filter import Offset
from face_detection import Box, Detection
from tests.helpers.tiny_videos import FPS, level, noise
from video import write_video

SIZE = 120  # of the painted face


class Painted:
    """Finds the one red rectangle of a picture."""

    name = "painted"

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Detection]]:
        return [self._red(frame.astype(int)) for frame in frames]

    def _red(self, frame: np.ndarray) -> list[Detection]:
        where = np.argwhere((frame[..., 0] > 180) & (frame[..., 1] < 90) & (frame[..., 2] < 90))
        if len(where) < 50:
            return []
        (y0, x0), (y1, x1) = where.min(axis=0), where.max(axis=0) + 1
        return [Detection(Box(float(x0), float(y0), float(x1), float(y1)), 1.0)]


def shade(number: int) -> int:
    """Of a frame's face, 0 to 39: up and down again, so that no two frames that follow each other look cut."""
    return 39 - abs(39 - number % 78)


def scene(frames: range, background: int, face: int | None = SIZE) -> Iterator[np.ndarray]:
    """A red face whose middle has the frame's shade."""
    for number in frames:
        picture = np.full((160, 200, 3), background, np.uint8)
        if face is not None:
            x = 30 + number // 10
            picture[20 : 20 + face, x : x + face] = (230, 20, 20)
            edge = face // 4
            picture[20 + edge : 20 + face - edge, x + edge : x + face - edge] = level(shade(number))
        yield picture


def film(path: Path, *scenes: Iterator[np.ndarray], fps: Fraction = FPS, seconds: float = 5.0) -> Source:
    sound = noise(path.with_suffix(".wav"), seconds)
    write_video(path, (frame for part in scenes for frame in part), fps, sound=sound, crf=8, preset="ultrafast")
    sound.unlink()
    return Source(path, path.name, "ann", path.parent / "prepared" / "train" / "ann" / "film.npz", framed=False)


class FixedScorer:
    """Says the same of every clip, and remembers what it was shown."""

    def __init__(self, offset: Offset) -> None:
        self.offset, self.shown = offset, [(0, 0, Fraction(0))]

    def __call__(self, faces: np.ndarray, mel: Mel, fps: Fraction) -> Offset:
        self.shown = [(len(faces), len(mel.columns), fps)]
        return self.offset
