"""A new face becomes a layer over its frame: mask, paste, and the detail of the person's own skin."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from core.arrays import Picture
from face_detection import Box, Layer, MouthDetail, jaw_mask, make_layer, mouth_mask, sharpness_aware_mask, with_detail
from lipsync.settings import Settings


def composite(
    frame: Picture,
    box: Box,
    before: Picture,
    after: Picture,
    strength: float,
    settings: Settings,
    mouths: MouthDetail | None = None,
) -> Layer:
    """What is laid over a frame u8 [h, w, 3]: the face `after` u8 [s, s, 3] instead of `before`, which the box cut.

    strength: how much of it is seen, from 0 to 1; mouths: of the same person, to take detail from.
    """
    mask = _mask(before, after, settings) * strength
    if mouths is not None and settings.detail:
        after = mouths.over(after, min(settings.detail, 1.0))
        mask = np.asarray(cv2.resize(mask, after.shape[:2]), np.float32)
    layer = make_layer(after, box, mask, *frame.shape[:2])
    return with_detail(layer, frame, box.width, settings.detail)


def _mask(before: Picture, after: Picture, settings: Settings) -> NDArray[np.float32]:
    """How much of a new face is pasted, f32 [s, s]."""
    size = len(after)
    pasted = _shape(settings.mask, size, round(settings.feather * size))
    return pasted if settings.mask == "half" else pasted * sharpness_aware_mask(before, after)


@lru_cache(maxsize=4)
def _shape(mask: str, size: int, feather: int) -> NDArray[np.float32]:
    """The part of a face that is pasted, f32 [size, size]: the same for all."""
    shape = (mouth_mask if mask == "half" else jaw_mask)(size, feather=feather)
    shape.setflags(write=False)
    return shape
