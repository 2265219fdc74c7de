"""How alike two frames of one face are, but for its mouth: whether the head turns and nods alike, in the same light.

A picture of a face that is alike can lend a mouth its looks; of what an aligned crop takes out, size, place and tilt,
nothing is asked.
"""

import cv2
import numpy as np
import numpy.typing as npt

from core.arrays import Picture
from face_detection.alignment import RIGID, fitted

Floats = npt.NDArray[np.float32]

NEAR = 1 / 176
"""Widths of an aligned crop that its rigid points are moved by which count as 1: a pixel of a crop of 224."""
SHADE = 5.0
"""Levels of 255 that count as much.  In seven clips of moving heads the colour of a face varies by 1 to 7 in a shot."""


def likeness(points: Floats, light: Floats) -> Floats:
    """f32 [n, 17]: rows of two frames are as far apart as the two are unlike; NaN where a point is.

    points: f32 [n, 9, 2] of faces, pixels; light: f32 [n, 3], as `light_of` has it.
    The root of the sum of two squares: of how far the rigid points of the aligned crops are apart, root mean square, in
    NEAR; and of how far light is, likewise, in SHADE.
    """
    _, turned, around = fitted(points)
    with np.errstate(invalid="ignore", divide="ignore"):
        pose = around / turned[:, None]                                 # complex [n, 7], as the crop has them
    parts = (pose.real / NEAR / RIGID**0.5, pose.imag / NEAR / RIGID**0.5, light / SHADE / 3**0.5)
    return np.concatenate(parts, axis=1).astype(np.float32)


def light_of(frame: Picture, points: Floats) -> Floats:
    """f32 [3], RGB from 0 to 255: the mean colour around eyes and nose.  frame [h, w, 3] u8; points f32 [9, 2] pixels.
    """
    height, width = frame.shape[:2]
    left, top = np.clip(np.floor(points[:RIGID].min(axis=0)).astype(int), 0, [width - 1, height - 1])
    right, bottom = np.ceil(points[:RIGID].max(axis=0)).astype(int)
    return np.array(cv2.mean(frame[top : max(bottom, top + 1), left : max(right, left + 1)])[:3], np.float32)
