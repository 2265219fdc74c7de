"""What back ends say of single frames, made steady over those around each; all of it in the square of one face.

A correction of colours is split.  Its coarse part (light, tint, the soft shapes that a restorer decides anew in every
frame) is averaged over the frames around; its fine part is averaged only where these look alike, since it belongs to
lips and teeth that move.  A mask keeps what is hidden in a frame and near it in a neighbour, and fills what is hidden
before and after.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.arrays import Picture

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

REACH = 4  # frames to both sides that count
DEVIATION = 2.0  # frames: of the Gaussian weights of a correction
COARSE = 16  # pixels of a square that become one of the coarse part
LOOKED = 4  # pixels of a square that become one where it is told what looks alike
ALIKE = 6.0  # levels by which pixels that look alike differ
FILLED = 2  # frames to both sides over which a hole of a mask is closed
NEAR = 1 / 12  # of the side: how far a thing before the face moves in a frame
MARGIN, BLEND = 1 / 128, 1 / 32  # of the side: around a mask, all hidden; and from there to nothing


@dataclass(frozen=True)
class Residual:
    """What shall be added to a part of a square, in levels: coarse f32 [h / 16, w / 16, 3], fine f32 [h, w, 3].

    seen: f32 [h / 4, w / 4, 3], how that part looked.
    """

    coarse: Floats
    fine: Floats
    seen: Floats

    @classmethod
    def of(cls, change: Floats, face: Picture) -> "Residual":
        """change f32 [h, w, 3] of a part of a face u8 [h, w, 3], sides multiples of 16."""
        height, width = change.shape[:2]
        coarse = _shrunken(change, width // COARSE, height // COARSE)
        look = _shrunken(face.astype(np.float32), width // LOOKED, height // LOOKED)
        return cls(coarse, np.asarray(change - _enlarged(coarse, change), np.float32), look)


def steady_correction(corrections: Sequence[Residual | None], at: int) -> Floats | None:
    """The correction at one place of consecutive frames, f32 [h, w, 3]; None: there is none in that frame."""
    own = corrections[at]
    if own is None:
        return None
    coarse, fine = np.zeros_like(own.coarse), np.zeros_like(own.fine)
    weight, shares = 0.0, np.zeros(own.fine.shape[:2], np.float32)
    for k, other in enumerate(corrections):
        if other is None or abs(k - at) > REACH:
            continue
        near = float(np.exp(-0.5 * ((k - at) / DEVIATION) ** 2))
        coarse += near * other.coarse
        weight += near
        if k == at:
            fine += near * other.fine
            shares += near
            continue
        apart = np.abs(other.seen - own.seen).max(axis=2)
        share = _enlarged(np.asarray(near * np.exp(-np.square(apart / ALIKE)), np.float32), fine)
        fine += share[..., None] * other.fine
        shares += share
    steady = _enlarged(coarse / weight, fine) + fine / shares[..., None]
    return np.asarray(steady, np.float32)


def steady_mask(masks: Sequence[Mask | None], at: int) -> Floats | None:
    """How much is hidden at one place of consecutive frames, f32 [n, n] from 0 to 1; None: nobody says.

    A mask of bool [n, n] that no neighbour has anything near of is one frame's mistake.
    """
    own = masks[at]
    if own is None:
        return None
    side = len(own)
    beside = [mask for k in (at - 1, at + 1) if 0 <= k < len(masks) and (mask := masks[k]) is not None]
    hidden = own
    if beside and own.any():
        hidden = own & np.logical_or.reduce([_grown(mask, round(NEAR * side)) for mask in beside])
    before = [mask for mask in masks[max(at - FILLED, 0) : at] if mask is not None]
    after = [mask for mask in masks[at + 1 : at + 1 + FILLED] if mask is not None]
    if before and after:
        hidden = hidden | (np.logical_or.reduce(before) & np.logical_or.reduce(after))
    if not hidden.any():
        return None
    away = cv2.distanceTransform((~hidden).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.clip(1 - (away - 1 - MARGIN * side) / (BLEND * side), 0, 1), np.float32)


def _grown(mask: Mask, reach: int) -> Mask:
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def _shrunken(values: Floats, width: int, height: int) -> Floats:
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _enlarged(values: Floats, like: Floats) -> Floats:
    return np.asarray(cv2.resize(values, like.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)
