"""Picture figures against computations of their own."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from evaluation.metrics import fidelity
from evaluation.metrics.metric import BOTH, ClipMean, Figure, MetricSpec
from tests.helpers.failing import fails
from tests.helpers.video_samples import noise, video_sample


def blurred(pictures: np.ndarray) -> np.ndarray:
    """Wang et al.'s window: Gaussian, deviation 1.5, 11 pixels; f64 [h, w, 3] -> [h - 10, w - 10, 3]."""
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (11, 11), axis=(0, 1))
    return np.einsum("hwcij,i,j->hwc", windows, weights, weights)


def ssim_by_the_book(a: np.ndarray, b: np.ndarray) -> float:
    """Equation 13 of Wang et al. 2004, with K1 = 0.01 and K2 = 0.03, over all whole windows."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = blurred(x), blurred(y)
    vx, vy, vxy = blurred(x * x) - mx * mx, blurred(y * y) - my * my, blurred(x * y) - mx * my
    return float((((2 * mx * my + first) * (2 * vxy + second)) / ((mx**2 + my**2 + first) * (vx + vy + second))).mean())


def near(pictures: np.ndarray) -> np.ndarray:
    off = np.random.default_rng(5).integers(-20, 21, pictures.shape)
    return np.clip(pictures + off, 0, 255).astype(np.uint8)


def test_ssim_is_the_papers() -> None:
    a = noise(2, 20)
    b = near(a)
    assert fidelity.ssim(a, b) == pytest.approx(np.mean([ssim_by_the_book(x, y) for x, y in zip(a, b, strict=True)]))
    assert fidelity.ssim(a, a) == 1


def test_psnr_is_scikit_images_and_that_of_equal_pictures_is_that_of_rounding() -> None:
    a = noise(3, 16)
    b = near(a)
    expected = np.mean([peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(a, b, strict=True)])
    assert fidelity.psnr(a, b) == pytest.approx(expected)
    assert fidelity.psnr(a, a) == pytest.approx(10 * np.log10(255**2 * 12))


def test_the_mouth_half_is_the_lower_one() -> None:
    a = noise(2, 32)
    upper = a.copy()
    upper[:, :16] = 0
    assert np.array_equal(fidelity.lower(a), fidelity.lower(upper))


def test_nothing_at_rest_or_in_steady_change_jitters() -> None:
    assert fidelity.jitter(np.repeat(noise(1), 5, axis=0)) == 0
    ramp = np.arange(0, 50, 10, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 32, 32, 3), np.uint8)
    assert fidelity.jitter(ramp) == 0
    assert fidelity.jitter(ramp[:2]) is None


def test_flicker_is_counted_in_levels_and_not_in_the_mouth() -> None:
    flicker = np.zeros((6, 64, 64, 3), np.uint8)
    flicker[::2] = 3
    assert fidelity.jitter(flicker) == 6  # from 3 to 0 to 3: |3 - 0 + 3|
    mouth = np.zeros((6, 64, 64, 3), np.uint8)
    mouth[::2, 46:52, 26:38] = 200
    assert fidelity.jitter(mouth) == 0


def test_the_learned_distance_is_the_mean_over_frames() -> None:
    def network(pictures: Tensor, others: Tensor) -> Tensor:
        return (pictures - others).abs().mean(dim=(1, 2, 3))

    a, b = noise(20), noise(20, seed=1)
    measure = fidelity.lpips(network, torch.device("cpu"))
    mean = np.abs(a.astype(int) - b).mean() / 127.5
    assert measure(video_sample(a), video_sample(b)) == pytest.approx(mean, rel=1e-5)


def test_every_figure_says_what_it_is_and_without_a_value_there_is_no_mean() -> None:
    assert all(spec.figure.source and set(spec.figure.settings) <= set(BOTH) for spec in fidelity.metric_specs())
    figure = Figure("none", "", "up", "nobody")
    mean = ClipMean(figure, lambda real, fake: None)
    assert mean.update(video_sample(noise(1)), video_sample(noise(1))) is None and mean.result() is None
    for wrong in ({"make": None, "missing": ""}, {"make": lambda: mean, "missing": "weights"}):
        with fails(ValueError, "none"):
            MetricSpec(figure, **wrong)
