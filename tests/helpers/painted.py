"""Painted scenes: a grey background, faces that are squares of pure colours, and a detector that finds these."""

from collections.abc import Sequence

import numpy as np

from face_detection import Box, Detection

HEIGHT, WIDTH = 90, 160
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}

Place = tuple[int, int] | None


class Painted:
    """Finds the squares that `frame` paints, surest of all."""

    name = "painted"

    def __init__(self) -> None:
        self.looked_at = 0
        self.largest_batch = 0

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Detection]]:
        self.looked_at += len(frames)
        self.largest_batch = max(self.largest_batch, len(frames))
        return [[d for channel in range(3) for d in self._blob(frame, channel)] for frame in frames]

    def _blob(self, frame: np.ndarray, channel: int) -> list[Detection]:
        others = [c for c in range(3) if c != channel]
        where = np.argwhere((frame[..., channel] > 220) & (frame[..., others] < 40).all(axis=2))
        if len(where) < 16:
            return []
        (y0, x0), (y1, x1) = where.min(axis=0), where.max(axis=0) + 1
        return [Detection(Box(float(x0), float(y0), float(x1), float(y1)), 1.0)]


def scene(*, seed: int = 0, **places: tuple[int, int, int] | None) -> np.ndarray:
    """A background of its own per seed; colour=(x, y, side) paints a face."""
    grey = np.random.default_rng(seed).integers(60, 190, (9, 16, 1), np.uint8)
    picture = grey.repeat(10, 0).repeat(10, 1).repeat(3, 2)
    for colour, place in places.items():
        if place:
            x, y, side = place
            picture[y : y + side, x : x + side] = COLOURS[colour]
    return picture
