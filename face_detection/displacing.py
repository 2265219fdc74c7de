"""A picture, each pixel taken from elsewhere by a flow."""

from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

A = TypeVar("A", bound=npt.NDArray[Any])


def displaced(values: A, flow: npt.NDArray[np.float32], interpolation: int = cv2.INTER_LINEAR) -> A:
    """[h, w, c] -> the same, at each pixel what lies by flow f32 [h, w, 2] away from it, x and y in pixels."""
    h, w = flow.shape[:2]
    x, y = np.arange(w, dtype=np.float32) + flow[..., 0], np.arange(h, dtype=np.float32)[:, None] + flow[..., 1]
    moved: A = cv2.remap(values, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    return moved
