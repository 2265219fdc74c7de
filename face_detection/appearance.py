"""What a face looks like, cheaply: enough to tell two people of one video apart, far from enough to name anyone.

The face and the collar below it are shrunk to 5 rows of 4 colours in CIE Lab.  Hair, skin, beard and clothes differ
between the people of a video far more than they change within it; lightness counts half, since lamps change it.
"""

import cv2
import numpy as np
import numpy.typing as npt

from core.arrays import Picture
from face_detection.box import Box

ROWS, COLUMNS = 5, 4
LENGTH = ROWS * COLUMNS * 3
COLLAR = 0.25
"""How far below the chin is looked, as a share of the height of the face."""
WEIGHTS = np.array([0.5 * 100 / 255, 1, 1], np.float32)
"""OpenCV stores L as 255/100 of its value, a and b with steps of 1."""

ColourSignature = npt.NDArray[np.uint8]


def colour_signature(picture: Picture, box: Box) -> ColourSignature:
    """picture HWC u8 RGB, a face in it -> u8 [60], the Lab colours of 5 x 4 cells, row by row."""
    height, width = picture.shape[:2]
    x0, x1 = _inside(box.x0, box.x1, width)
    y0, y1 = _inside(box.y0, box.y1 + COLLAR * box.height, height)
    cells = cv2.resize(picture[y0:y1, x0:x1], (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(cells, cv2.COLOR_RGB2LAB), np.uint8).reshape(LENGTH)


def difference(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> float:
    """How unlike two looks are: the mean distance of their cells in Lab, 0 to about 200."""
    apart = (one.astype(np.float32) - other.astype(np.float32)).reshape(-1, 3) * WEIGHTS
    return float(np.sqrt((apart**2).sum(axis=1)).mean())


def _inside(start: float, stop: float, length: int) -> tuple[int, int]:
    """The pixels of a line that lie in [start, stop), at least one."""
    first = min(max(round(start), 0), length - 1)
    return first, min(max(round(stop), first + 1), length)
