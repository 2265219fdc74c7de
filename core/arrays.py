"""Types of arrays that several folders hand to each other; shapes are said where they are used.  A smooth step, and the
largest of three channels."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]     # [h, w, 3] RGB
Pictures = NDArray[np.uint8]    # [n, h, w, 3] RGB
Samples = NDArray[np.float32]   # sound, [n] in [-1, 1], or [n, channels]
Span = tuple[int, int]          # [start, stop)

N = TypeVar("N", bound=np.generic)


def smoothstep(x: NDArray[np.floating]) -> NDArray[np.float32]:
    """0 below 0, 1 above 1, smoothly between."""
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def largest_channel(values: NDArray[N]) -> NDArray[N]:
    """[h, w, 3] -> [h, w]; numpy's own maximum over so short an axis takes ten times as long."""
    largest: NDArray[N] = np.maximum(np.maximum(values[..., 0], values[..., 1]), values[..., 2])
    return largest
