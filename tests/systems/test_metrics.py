"""PSNR, SSIM and Pearson's r against other people's computations and the papers' formulas."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from systems.metrics import correlation, correlation_within, psnr, ssim

SHOWN = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
NOISY = SHOWN + 0.5 * torch.randn(SHOWN.shape, generator=torch.Generator().manual_seed(1))


def test_psnr_and_ssim_are_those_of_scikit_image() -> None:
    pairs = list(zip(SHOWN.double().numpy(), NOISY.double().numpy(), strict=True))
    ratios = [peak_signal_noise_ratio(a, b, data_range=2) for a, b in pairs]
    assert psnr(SHOWN, NOISY).numpy() == pytest.approx(ratios, abs=1e-4)
    similar = [
        structural_similarity(
            a + 1, b + 1, channel_axis=0, data_range=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in pairs
    ]
    assert ssim(SHOWN, NOISY).numpy() == pytest.approx(similar, abs=1e-5)


def test_equal_pictures_are_alike_and_off_by_what_is_said() -> None:
    assert torch.equal(ssim(SHOWN, SHOWN), torch.ones(2))
    assert psnr(SHOWN, SHOWN, least=0.04).numpy() == pytest.approx([20, 20], abs=1e-4)


def test_ssim_can_be_learned_from() -> None:
    made = NOISY.clone().requires_grad_()
    ssim(made, SHOWN).mean().backward()  # type: ignore[no-untyped-call]
    assert made.grad is not None and made.grad.isfinite().all() and made.grad.abs().sum() > 0


def test_a_correlation_may_be_sought_nearby() -> None:
    one = np.random.default_rng(1).normal(size=40)
    late = np.concatenate([np.zeros(2), one[:-2]])
    assert correlation_within(2, one, late) == pytest.approx(1) == correlation_within(3, late, one)
    assert (correlation_within(1, one, late) or 1) < 0.7
    assert correlation_within(1, one, np.ones(40)) is None


def test_correlation_is_pearsons_where_both_are_known() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 30))
    r = np.corrcoef(one[2:], other[2:])[0, 1]
    one[0] = other[1] = np.nan
    assert correlation(one, other) == pytest.approx(r)
    assert correlation(one, 1 - one) == pytest.approx(-1)
    assert correlation(one, other, least=29) is None and correlation(one, np.full(30, 0.3)) is None
