"""The colour of the person's own lips, such as lipstick: by how much real lips differ from those that are drawn (ours).

Lips are told from skin, teeth and the dark of a mouth by being redder than the skin around them (a of CIE Lab).  So the
difference is measured on lips alone, and is added to lips alone, whatever shape the mouth has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from core.arrays import Picture, smoothstep
from face_detection.mouth_detail import COLUMNS, ROWS

Floats = NDArray[np.float32]

AROUND = (0.47, 0.95), (0.16, 0.84)  # rows and columns of a face framed like VoxCeleb2's: its mouth and the skin around
PALE, RED = 4.0, 12.0  # of a, above that of the skin: up to the one nothing is a lip, from the other all is
FEW = 20 / 128**2      # share of a face that must be lips in both pictures, for their difference to be taken whole
SLIGHT = 0.5           # what nobody sees


@dataclass(frozen=True)
class LipColour:
    """missing f32 [3]: what is added to drawn lips, in L, a and b of CIE Lab."""

    missing: Floats

    @classmethod
    def between(cls, real: Sequence[Picture], drawn: Sequence[Picture]) -> "LipColour":
        """From faces u8 [s, s, 3] RGB, and the same faces as a network draws them."""
        missing, counted = np.zeros(3), 0.0
        for one, other in zip(real, drawn, strict=True):
            (here, lips), (there, others) = _lips(one), _lips(other)
            share = (lips * others)[..., None]
            missing += (share * (here - there)).sum(axis=(0, 1))
            counted += float(share.sum())
        return cls((missing / max(counted, FEW * real[0].shape[0] ** 2 * len(real))).astype(np.float32))

    def over(self, face: Picture) -> Picture:
        """A drawn face u8 [s, s, 3] RGB -> the same with lips of the person's colour."""
        if np.abs(self.missing).max() < SLIGHT:
            return face
        lab, lips = _lips(face)
        coloured, place = face.copy(), _part(face, AROUND)
        rgb = np.clip(cv2.cvtColor(lab + lips[..., None] * self.missing, cv2.COLOR_LAB2RGB), 0, 1) * 255
        changed = lips > 0
        coloured[place][changed] = np.rint(rgb[changed]).astype(np.uint8)
        return coloured


def _lips(face: Picture) -> tuple[Floats, Floats]:
    """AROUND the mouth: its Lab colours f32 [m, n, 3], and how surely each pixel is a lip's, f32 [m, n] from 0 to 1.
    """
    size, (rows, columns) = len(face), _part(face, AROUND)
    lab = np.asarray(cv2.cvtColor(face[rows, columns].astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    redder = smoothstep((lab[..., 1] - np.median(lab[..., 1]) - PALE) / (RED - PALE))
    return lab, np.asarray(redder * _inside(size), np.float32)


@lru_cache(maxsize=4)
def _inside(size: int) -> NDArray[np.float64]:
    """Where AROUND the mouth of a face of this size lips may be, 0 to 1."""
    y, x = ((np.arange(round(low * size), round(high * size)) + 0.5) / size for low, high in AROUND)
    (top, bottom), (left, right) = ROWS, COLUMNS
    far = np.hypot(_from_middle(y, top, bottom)[:, None], _from_middle(x, left, right))
    return np.clip((1 - far) / 0.25, 0, 1)


def _from_middle(places: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """How far places are from the middle of two, 1 at either."""
    distance: NDArray[np.float64] = np.abs(places - (low + high) / 2) / ((high - low) / 2)
    return distance


def _part(face: Picture, part: tuple[tuple[float, float], tuple[float, float]]) -> tuple[slice, slice]:
    rows, columns = (slice(round(low * len(face)), round(high * len(face))) for low, high in part)
    return rows, columns
