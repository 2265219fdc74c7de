"""Crops and layers of turned boxes, through OpenCV's affine warp: what `cropping.py` does of upright ones.

The same convention: pixel i covers [i, i + 1), its centre is i + 1/2.  Pixels are always resampled, linearly; where a
picture shrinks, it is sampled at its own resolution first and then averaged over areas.
"""

import math
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from face_detection.box import Box

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
V = TypeVar("V", Picture, Floats)
MOST = 4096  # places where a line of a crop is sampled, of a box that is much larger than a picture
LINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def to_frame(box: Box, width: int, height: int) -> Matrix:
    """f64 [2, 3]: from the index (column, row) of a pixel of a crop of this size to that of the frame."""
    cosine, sine = math.cos(math.radians(box.angle)), math.sin(math.radians(box.angle))
    axes = np.array([[cosine, -sine], [sine, cosine]]) * [box.width / width, box.height / height]
    first = np.array(box.centre) - 0.5 + axes @ [0.5 - width / 2, 0.5 - height / 2]
    return np.concatenate([axes, first[:, None]], axis=1)


def cut_turned(frame: Picture, box: Box, size: int) -> Picture:
    """frame [h, w, 3] u8 -> [size, size, 3] u8: what is in the box, upright; past the frame its border repeats."""
    finer = max(1, min(math.ceil(max(box.width, box.height) / size - 1e-9), MOST // size))
    side = size * finer
    part, place = _around(frame, box)
    matrix = to_frame(box, side, side)
    matrix[:, 2] -= place
    warped = cv2.warpAffine(part, matrix, (side, side), flags=LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if finer > 1:
        warped = cv2.resize(warped, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(warped, np.uint8)


def make_turned_layer(
    crop: Picture, box: Box, mask: Floats, height: int, width: int
) -> tuple[slice, slice, Picture, Floats] | None:
    """Where in a frame of this height and width the crop lies, its colours u8 [r, c, 3] and its opacity f32 [r, c, 1].

    None where nothing of the frame is touched.
    """
    used_rows, used_columns = np.flatnonzero((mask > 0).any(axis=1)), np.flatnonzero((mask > 0).any(axis=0))
    if not used_rows.size:
        return None
    size = len(mask)
    corners = np.array([
        [x, y]
        for x in (used_columns[0] - 1.0, used_columns[-1] + 1.0)
        for y in (used_rows[0] - 1.0, used_rows[-1] + 1.0)
    ])  # fmt: skip
    matrix = to_frame(box, size, size)
    places = corners @ matrix[:, :2].T + matrix[:, 2]
    low, high = np.floor(places.min(axis=0)).astype(int), np.ceil(places.max(axis=0)).astype(int) + 1
    columns = slice(max(int(low[0]), 0), min(int(high[0]), width))
    rows = slice(max(int(low[1]), 0), min(int(high[1]), height))
    if columns.stop <= columns.start or rows.stop <= rows.start:
        return None
    colours, opacity = _as_large(crop, box), _as_large(mask, box)
    back = _shifted(to_frame(box, *_sides(colours)), columns.start, rows.start)
    shape = columns.stop - columns.start, rows.stop - rows.start
    shown = cv2.warpAffine(colours, back, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    turned = cv2.warpAffine(opacity, back, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return rows, columns, np.asarray(shown, np.uint8), np.asarray(turned[..., None], np.float32)


def _around(frame: Picture, box: Box) -> tuple[Picture, npt.NDArray[np.float64]]:
    """The part of the frame that the box may touch, and the index (column, row) of its first pixel."""
    reach = math.hypot(box.width, box.height) / 2 + 2
    (x, y), (height, width) = box.centre, frame.shape[:2]
    left, right = (min(max(round(edge), 0), width) for edge in (x - reach, x + reach))
    top, bottom = (min(max(round(edge), 0), height) for edge in (y - reach, y + reach))
    left, top = min(left, width - 1), min(top, height - 1)
    part = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    return np.ascontiguousarray(part), np.array([left, top], np.float64)


def _as_large(values: V, box: Box) -> V:
    """Shrunk to the size of the box where that is the smaller one, so that nothing is skipped."""
    size = len(values)
    sides = tuple(min(size, max(1, round(side))) for side in (box.width, box.height))
    if sides == (size, size):
        return values
    return cv2.resize(values, sides, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _sides(values: Picture | Floats) -> tuple[int, int]:
    """Width and height."""
    return values.shape[1], values.shape[0]


def _shifted(matrix: Matrix, x: float, y: float) -> Matrix:
    """The same places counted from pixel (x, y)."""
    return np.asarray(matrix - np.array([[0, 0, x], [0, 0, y]]))
