"""The person's own skin: detail of the frame itself, where the new face agrees with it in all but sharpness (ours).

A network paints 128 x 128 pixels; a face on video has several times as many.  Wherever new and old look alike once
both are blurred (chin, cheeks, beard, lips that are where they were), what the blur took from the old one is put onto
the new one.  Where the mouth or the jaw moved they differ, and nothing is taken, so no true mouth shines through;
there the network's own detail is made as strong as that of the face around it, within bounds (an unsharp mask).
"""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from core.arrays import Picture
from face_detection.cropping import Layer

COARSE = 0.018      # deviation of the blur, as a share of the width of the face: what is finer counts as detail
SHARPEST = 1.6      # times that the network's own detail is enlarged at the most
ALIKE, UNLIKE = 6.0, 20.0  # levels by which blurred faces differ: up to the one all detail is kept, from the other none


def with_detail(layer: Layer, frame: Picture, width: float, strength: float = 1.0) -> Layer:
    """The layer with detail of what it is laid over, frame [h, w, 3] u8 RGB.

    width: of the face in the frame, pixels; strength: 0 changes nothing, 1 keeps all detail where both agree.
    """
    if not strength or not layer.opacity.size:
        return layer
    old = frame[layer.rows, layer.columns]
    spread = max(COARSE * width, 0.8)
    new_coarse, old_coarse = (_blurred(picture, spread) for picture in (layer.colours, old))
    apart = np.abs(new_coarse.astype(np.int16) - old_coarse).max(axis=2).astype(np.float32)
    apart = cv2.GaussianBlur(cv2.dilate(apart, np.ones((3, 3), np.uint8)), (0, 0), spread)
    share = np.clip((UNLIKE - apart) / (UNLIKE - ALIKE), 0, 1)
    share = (strength * share * share * (3 - 2 * share))[..., None]
    new_detail = layer.colours.astype(np.float32) - new_coarse
    old_detail = old.astype(np.float32) - old_coarse
    gain = 1 + strength * (_times_softer(new_detail, old_detail, layer.opacity) - 1)
    detailed = new_coarse + share * old_detail + (1 - share) * gain * new_detail
    return replace(layer, colours=np.rint(np.clip(detailed, 0, 255)).astype(np.uint8))


def _times_softer(
    new: npt.NDArray[np.float32], old: npt.NDArray[np.float32], opacity: npt.NDArray[np.float32]
) -> float:
    """How many times weaker the detail of the new face is than the old one's, 1 to SHARPEST; of the face as a whole,
    so that it does not depend on whose mouth is open."""
    weight = opacity.reshape(*new.shape[:2], 1)
    ratio = float((weight * old * old).sum()) / max(float((weight * new * new).sum()), 1e-3)
    return float(np.clip(np.sqrt(ratio), 1.0, SHARPEST))


def _blurred(picture: Picture, deviation: float) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), deviation), np.uint8)
