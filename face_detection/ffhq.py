"""The square in which FFHQ shows a face, which face restorers and parsers were trained on.

FFHQ (Karras et al. 2019) as facexlib aligns it to 512 x 512: eyes at (193, 240) and (319, 240), the nose's tip at
(257, 314).  Where these lie in our framing says where the square lies against a box: the least-squares similarity of
the three points of `alignment.TEMPLATE`, off by 3 to 5 of 512 pixels.
"""

from math import cos, radians, sin

import cv2
import numpy as np
import numpy.typing as npt

from face_detection.alignment import TALL
from face_detection.box import Box
from face_detection.turning import to_frame

FFHQ_SIDE = 512  # pixels
SIDE = 1.4334  # of the square, in widths of an aligned box
RAISED = 0.0404  # by which its centre lies above that of the box, in the same

Floats = npt.NDArray[np.float32]


def ffhq_square(box: Box) -> Box:
    """The square around the face in a box as detectors give it, or an aligned one; turned as that is."""
    width = box.height / TALL
    angle = radians(box.angle)
    x, y = box.centre
    up = RAISED * width
    return Box.centred(x + sin(angle) * up, y - cos(angle) * up, SIDE * width, SIDE * width, box.angle)


def warped(values: Floats, square: Box, place: tuple[int, int], rows: slice, columns: slice) -> Floats:
    """Numbers of a part of a square, as they lie in a part of the frame; 0 outside of what is given.

    values f32 [h, w(, c)]: of the square at FFHQ_SIDE pixels, from `place` (row, column) on; rows, columns: of the
    frame -> f32 [rows, columns(, c)].  Shrinking averages areas, enlarging interpolates linearly.
    """
    height, width = values.shape[:2]
    ratio = min(1.0, square.width / FFHQ_SIDE)
    shape = max(1, round(width * ratio)), max(1, round(height * ratio))
    small = cv2.resize(values, shape, interpolation=cv2.INTER_AREA) if shape != (width, height) else values
    matrix = to_frame(square, FFHQ_SIDE, FFHQ_SIDE)
    step = np.array([width / shape[0], height / shape[1]])  # pixels of the square in one of these
    matrix[:, 2] += matrix[:, :2] @ (np.array([place[1], place[0]]) + step / 2 - 0.5)
    matrix[:, :2] *= step
    matrix[:, 2] -= [columns.start, rows.start]
    size = columns.stop - columns.start, rows.stop - rows.start
    return np.asarray(cv2.warpAffine(small, matrix, size, flags=cv2.INTER_LINEAR), np.float32)
