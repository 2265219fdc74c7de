"""Types of arrays that several folders hand to each other; shapes are said where they are used.  A smooth step."""

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]     # [h, w, 3] RGB
Pictures = NDArray[np.uint8]    # [n, h, w, 3] RGB
Samples = NDArray[np.float32]   # sound, [n] in [-1, 1], or [n, channels]
Span = tuple[int, int]          # [start, stop)


def smoothstep(x: NDArray[np.floating]) -> NDArray[np.float32]:
    """0 below 0, 1 above 1, smoothly between."""
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
