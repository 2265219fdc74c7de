"""Types of arrays that several folders hand to each other; shapes are said where they are used."""

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]     # [h, w, 3] RGB
Pictures = NDArray[np.uint8]    # [n, h, w, 3] RGB
Samples = NDArray[np.float32]   # sound, [n] in [-1, 1], or [n, channels]
Span = tuple[int, int]          # [start, stop)
