"""Landmarks as seen from the front: the turn, size and place of the head taken out of them."""

import numpy as np
from numpy.typing import NDArray

from .lip_motion import POINTS, Landmarks

# What no muscle of the mouth moves (corners of the eyes, bridge and tip of the nose, forehead, temples): number of
# MediaPipe's point -> where it is in the mean of 104 training faces by generalised Procrustes analysis (Gower 1975),
# made symmetric; x right, y down, z away, the origin between the eyes, their distance 1.
RIGID = {
    33: (-0.718, -0.008, 0.043), 133: (-0.282, 0.008, -0.043), 362: (0.282, 0.008, -0.043), 263: (0.718, -0.008, 0.043),
    168: (0.0, -0.068, -0.316), 6: (0.0, 0.034, -0.389), 197: (0.0, 0.124, -0.472), 195: (0.0, 0.205, -0.563),
    4: (0.0, 0.398, -0.697), 9: (0.0, -0.286, -0.340), 151: (0.0, -0.515, -0.290),
    127: (-1.137, 0.038, 0.854), 356: (1.137, 0.038, 0.854),
}  # fmt: skip
WANTED = (*RIGID, *POINTS)  # of MediaPipe's points, in the order that `frontal` takes them


def frontal(points: NDArray[np.float32]) -> Landmarks:
    """points f32 [t, len(WANTED), 3] -> f32 [t, p, 2], as `MotionSpace` takes them; NaN stays NaN.

    Each frame by the similarity in space that brings its rigid points nearest to RIGID (Umeyama 1991).
    """
    template = np.array(list(RIGID.values()))
    known = np.isfinite(points).all(axis=(1, 2))
    result = np.full((len(points), len(POINTS), 2), np.nan, np.float32)
    for frame in np.flatnonzero(known):
        rigid, free = np.split(points[frame].astype(np.float64), [len(RIGID)])
        turn, scale = _similarity(rigid - rigid.mean(axis=0), template - template.mean(axis=0))
        result[frame] = ((free - rigid.mean(axis=0)) @ turn * scale + template.mean(axis=0))[:, :2]
    return result


def _similarity(points: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The rotation [3, 3] and the scale that bring centred points [n, 3] nearest to others: points @ turn * scale."""
    u, values, v = np.linalg.svd(points.T @ target)
    signs = np.array([1, 1, np.sign(np.linalg.det(u @ v))])
    return u * signs @ v, float((values * signs).sum() / (points**2).sum())
