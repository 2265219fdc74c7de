"""PSNR, SSIM and Pearson's r: one definition of each, for what training minimises and watches and for what is reported.

Pictures are [n, c, h, w] in [-1, 1]; of pictures of 8 bits `dataset.to_network` makes such.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

RANGE = 2.0  # of [-1, 1]
SIDE, DEVIATION = 11, 1.5  # pixels of SSIM's Gaussian window
STILL = 1e-6  # standard deviation below which a series counts as one that does not change


def psnr(pictures: Tensor, others: Tensor, least: float = 1e-12) -> Tensor:
    """Peak signal-to-noise ratio of each, dB: 10 log10(4 / mean squared error).  [n, ...] each -> [n].

    least: the mean squared error that equal pictures are counted as having.
    """
    errors = ((pictures.float() - others.float()) ** 2).flatten(1).mean(dim=1)
    return 10 * torch.log10(RANGE**2 / errors.clamp_min(least))


def ssim(pictures: Tensor, others: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004, equation 13) of each, 1 for equal ones.  [n, c, h, w] each -> [n].

    K1 = 0.01, K2 = 0.03; over all whole Gaussian windows of 11 x 11 pixels, deviation 1.5; the mean over channels.
    Differentiable.  Sides are at least 11 pixels.
    """
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    x, y = pictures.float(), others.float()
    away = torch.arange(SIDE, device=x.device, dtype=x.dtype) - SIDE // 2
    weights = torch.exp(-(away**2) / (2 * DEVIATION**2))
    window = (weights / weights.sum()).expand(x.shape[1], 1, 1, SIDE)

    def mean(values: Tensor) -> Tensor:
        across = F.conv2d(values, window, groups=len(window))
        return F.conv2d(across, window.mT, groups=len(window))

    mx, my = mean(x), mean(y)
    vx, vy, covariance = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    mx, my = mx + 1, my + 1  # as of values from 0 on, where the paper's are; what is above does not change by that
    similarity = ((2 * mx * my + c1) * (2 * covariance + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return similarity.mean(dim=(1, 2, 3))


def correlation(one: ArrayLike, other: ArrayLike, least: int = 2) -> float | None:
    """Pearson's r of two series over the places where both are known, that is not NaN.

    None if these are fewer than `least`, or one of the two does not change.
    """
    a, b = (np.asarray(values, np.float64).ravel() for values in (one, other))
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    if len(a) < least or min(a.std(), b.std()) < STILL:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def correlation_within(reach: int, one: ArrayLike, other: ArrayLike, least: int = 2) -> float | None:
    """The highest `correlation` with one of the two shifted by up to `reach` places, where both have values."""
    a, b = (np.asarray(values, np.float64).ravel() for values in (one, other))
    shared = min(len(a), len(b))
    values = (
        correlation(a[max(-lag, 0) : shared - max(lag, 0)], b[max(lag, 0) : shared + min(lag, 0)], least)
        for lag in range(-reach, reach + 1)
    )
    return max((value for value in values if value is not None), default=None)
