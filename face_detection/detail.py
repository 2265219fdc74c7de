"""The person's own skin: detail of the frame itself, where the new face agrees with it in all but sharpness (ours).

A network paints 128 x 128 pixels; a face on video has several times as many.  Wherever new and old look alike once
both are blurred (chin, cheeks, beard, lips that are where they were), what the blur took from the old one is put onto
the new one.  Where the mouth or the jaw moved they differ, and nothing is taken, so no true mouth shines through;
there the network's own detail is made as strong as that of the face around it, within bounds (an unsharp mask).
"""

import math
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from core.arrays import Picture, largest_channel, smoothstep
from face_detection.cropping import Layer

Floats = npt.NDArray[np.float32]

COARSE = 0.018      # deviation of the blur, as a share of the width of the face: what is finer counts as detail
SHARPEST = 1.6      # times that the network's own detail is enlarged at the most
WIDE = 1.5          # pixels of a smaller picture that a blur of them must be broad, to be made of it
ALIKE, UNLIKE = 6.0, 20.0  # levels by which blurred faces differ: up to the one all detail is kept, from the other none


def with_detail(layer: Layer, frame: Picture, width: float, strength: float = 1.0) -> Layer:
    """The layer with detail of what it is laid over, frame [h, w, 3] u8 RGB.

    width: of the face in the frame, pixels; strength: 0 changes nothing, 1 keeps all detail where both agree.
    """
    if not strength or not layer.opacity.size:
        return layer
    old = frame[layer.rows, layer.columns]
    spread = max(COARSE * width, 0.8)
    step = next(step for step in (4, 2, 1) if spread >= WIDE * step or step == 1)
    new_small, old_small = (_blurred(picture, spread, step) for picture in (layer.colours, old))
    apart = largest_channel(np.abs(new_small - old_small))
    widest = np.asarray(cv2.dilate(apart, np.ones((3, 3), np.uint8)), np.float32)
    apart = np.asarray(cv2.GaussianBlur(apart + (widest - apart) / step, (0, 0), spread / step), np.float32)
    share = strength * smoothstep((UNLIKE - apart) / (UNLIKE - ALIKE))
    share, new_coarse, old_coarse = (_enlarged(values, old.shape) for values in (share, new_small, old_small))
    new_detail, old_detail = (
        np.asarray(cv2.subtract(picture, coarse, dtype=cv2.CV_32F), np.float32)
        for picture, coarse in ((layer.colours, new_coarse), (old, old_coarse))
    )
    gain = 1 + strength * (_times_softer(new_detail, old_detail, layer.opacity) - 1)
    detail = cv2.blendLinear(old_detail, gain * new_detail, share, 1 - share)
    return replace(layer, colours=np.asarray(cv2.add(new_coarse, detail, dtype=cv2.CV_8U), np.uint8))


def _times_softer(new: Floats, old: Floats, opacity: Floats) -> float:
    """How many times weaker the detail of the new face is than the old one's, 1 to SHARPEST; of the face as a whole,
    so that it does not depend on whose mouth is open."""
    weight = opacity.ravel()
    strong, weak = (float((weight @ np.square(detail).reshape(-1, 3)).sum()) for detail in (old, new))
    return float(np.clip(np.sqrt(strong / max(weak, 1e-3)), 1.0, SHARPEST))


def _blurred(picture: Picture, deviation: float, step: int) -> Floats:
    """f32 [h, w, 3], levels: of every so many pixels, which is quicker, and nearer to the blur than whole levels are.

    Averaging over them and interpolating between them blur too, by as much as is left out here.
    """
    h, w = picture.shape[:2]
    size = -(-w // step), -(-h // step)
    small = picture if step == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    own = math.sqrt(deviation**2 - (step**2 - 1) / 4) / step
    return np.asarray(cv2.GaussianBlur(small.astype(np.float32), (0, 0), own), np.float32)


def _enlarged(values: Floats, shape: tuple[int, ...]) -> Floats:
    """To so many rows and columns."""
    return np.asarray(cv2.resize(values, (shape[1], shape[0])), np.float32)
