"""A picture, each pixel taken from elsewhere by a flow."""

from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

A = TypeVar("A", bound=npt.NDArray[Any])


def displaced(
    values: A, flow: npt.NDArray[np.float32], interpolation: int = cv2.INTER_LINEAR, first: int = 0
) -> A:
    """[h, w, c] -> [n, w, c]: at each pixel of the rows from `first` on what lies by flow f32 [n, w, 2] away from it, x
    and y in pixels."""
    h, w = flow.shape[:2]
    y, x = np.arange(first, first + h, dtype=np.float32)[:, None], np.arange(w, dtype=np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    moved: A = cv2.remap(values, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    return moved
