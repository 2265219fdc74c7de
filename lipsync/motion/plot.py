"""A picture of how far a mouth is open over time: above what was predicted, below what it was made after."""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.arrays import Picture

Opening = tuple[NDArray[np.float32] | None, float]  # share of the distance between the eyes, frames a second

WIDTH, HEIGHT, LEFT, GAP = 1200, 220, 60, 34  # pixels of a curve, of what is beside it and above
COLOURS = ((20, 90, 200), (200, 110, 20))
INK, GRID = (40, 40, 40), (225, 225, 225)


def openings(predicted: Opening, reference: Opening) -> Picture:
    """Two curves over seconds on one scale; the lower one is left out where there is none.  u8 RGB

    A mouth that is predicted to be more closed than closed, which a network may say, counts as closed.
    """
    shown = [(name, np.maximum(values, 0), fps) for name, (values, fps) in
             (("predicted opening", predicted), ("opening of the style reference", reference))
             if values is not None and len(values)]  # fmt: skip
    top = max(float(values.max()) for _, values, _ in shown) * 1.1 + 1e-3
    rows = [_curve(name, values, fps, top, COLOURS[i % 2]) for i, (name, values, fps) in enumerate(shown)]
    return np.concatenate(rows)


def _curve(name: str, values: NDArray[np.float32], fps: float, top: float, colour: tuple[int, int, int]) -> Picture:
    picture = np.full((HEIGHT + 2 * GAP, WIDTH + LEFT + GAP, 3), 255, np.uint8)
    seconds = len(values) / fps
    digits = 1 if seconds >= 10 else 2
    _text(picture, f"{name}, mean {values.mean():.3f} of the distance between the eyes", LEFT, GAP - 12, 0.5)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        column, row = LEFT + round(WIDTH * share), GAP + round(HEIGHT * (1 - share))
        cv2.line(picture, (LEFT, row), (LEFT + WIDTH, row), GRID, 1)
        _text(picture, f"{top * share:.2f}", 8, row + 4)
        _text(picture, f"{seconds * share:.{digits}f} s", column - 14, GAP + HEIGHT + 20)
    x = LEFT + (np.arange(len(values)) + 0.5) / len(values) * WIDTH
    y = GAP + HEIGHT * (1 - np.clip(values / top, 0, 1))
    points = np.stack([x, y], axis=1).round().astype(np.int32)
    cv2.polylines(picture, [points], False, colour, 1, cv2.LINE_AA)
    return picture


def _text(picture: Picture, text: str, x: int, y: int, scale: float = 0.4) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
