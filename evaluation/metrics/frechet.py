"""How far two heaps of features lie apart as Gaussians: FID and FVD (Heusel et al. 2017; Unterthiner et al. 2018)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..video_sample import VideoSample
from .metric import Figure

Doubles = NDArray[np.float64]
Features = Callable[[VideoSample], NDArray[np.float32]]
"""A sample -> f32 [n, d], a row a frame or a stretch."""

FID = Figure(
    "FID", "", "down",
    "Heusel et al. 2017, pytorch-fid's Inception (pool 3); all face crops, resized to 299 px; of fewer than 10,000"
    " frames it is biased upwards: compare equal numbers alone",
    2, paired=True,
)  # fmt: skip
FVD = Figure(
    "FVD", "", "down",
    "Unterthiner et al. 2018, I3D of Kinetics-400 (StyleGAN-V's conversion); stretches of 16 face crops end to end",
    1, paired=True,
)  # fmt: skip


class Moments:
    """Count, mean and covariance of rows that come in parts.  Memory: d x d doubles."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Doubles | None = None
        self._products: Doubles | None = None

    def add(self, rows: NDArray[np.float32]) -> None:
        """rows [n, d]"""
        exact = rows.astype(np.float64)
        if self._sum is None or self._products is None:
            self._sum, self._products = np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1]))
        self.count += len(exact)
        self._sum += exact.sum(axis=0)
        self._products += exact.T @ exact

    def gaussian(self) -> tuple[Doubles, Doubles]:
        """Mean [d] and unbiased covariance [d, d].  ValueError for fewer than two rows."""
        if self._sum is None or self._products is None or self.count < 2:
            raise ValueError("a covariance needs at least two rows")
        mean = self._sum / self.count
        return mean, (self._products - self.count * np.outer(mean, mean)) / (self.count - 1)


def frechet_distance(mean: Doubles, covariance: Doubles, other: Doubles, others: Doubles) -> float:
    """|m - n|^2 + tr(C + D - 2 (C D)^(1/2)) of two Gaussians.

    The trace of the root is that of (C^(1/2) D C^(1/2))^(1/2), which is symmetric: its eigenvalues are real, and few
    frames, whose covariances have no full rank, need no noise added to them.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ others @ root), 0)).sum()
    return float(np.sum((mean - other) ** 2) + np.trace(covariance) + np.trace(others) - 2 * shared)


class Frechet:
    """The distance between all real and all generated features; a single clip has none."""

    def __init__(self, figure: Figure, features: Features) -> None:
        self.figure = figure
        self._features = features
        self._real, self._fake = Moments(), Moments()

    def update(self, real: VideoSample, fake: VideoSample) -> float | None:
        self._real.add(self._features(real))
        self._fake.add(self._features(fake))
        return None

    def result(self) -> float | None:
        if min(self._real.count, self._fake.count) < 2:
            return None
        return frechet_distance(*self._real.gaussian(), *self._fake.gaussian())
