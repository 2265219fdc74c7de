"""How like the real pictures the generated ones are, and whether what should rest does."""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.arrays import Pictures
from dataset import to_network
from face_detection import jaw_mask
from systems import metrics
from systems.perceptual import Lpips

from ..video_sample import VideoSample
from .metric import Figure, Measure, MetricSpec, clip_mean

BLOCK = 16  # pictures in one pass of a network
ROUNDING = (2 / 255) ** 2 / 12
"""Mean squared error of rounding to 8 bits: what an equal picture is counted as being off by (PSNR 58.9 dB)."""

PSNR = Figure(
    "PSNR", "dB", "up", "10 log10(255^2 / mean squared error) of each face crop, RGB; mean over frames",
    2, ("reconstruction",), paired=True,
)  # fmt: skip
SSIM = Figure(
    "SSIM", "", "up", "Wang et al. 2004: Gaussian window, deviation 1.5 px; each face crop, RGB; mean over frames",
    4, ("reconstruction",), paired=True,
)  # fmt: skip
MOUTH_PSNR = Figure(
    "PSNR of the mouth half", "dB", "up", "PSNR of the lower half of the crop, which alone is generated",
    2, ("reconstruction",), paired=True,
)  # fmt: skip
MOUTH_SSIM = Figure(
    "SSIM of the mouth half", "", "up", "SSIM of the lower half of the crop", 4, ("reconstruction",), paired=True
)
LPIPS = Figure(
    "LPIPS", "", "down", "Zhang et al. 2018, AlexNet v0.1; each face crop; mean over frames",
    4, ("reconstruction",), paired=True,
)  # fmt: skip
JITTER = Figure(
    "jitter outside the mouth", "levels", "real",
    "ours: mean |x(k-1) - 2 x(k) + x(k+1)| of the crop's 0..255 outside mouth and chin; flicker and tremble", 3,
)  # fmt: skip


def metric_specs() -> list[MetricSpec]:
    """What needs no weights."""
    return [
        clip_mean(PSNR, lambda real, fake: psnr(real.faces, fake.faces)),
        clip_mean(SSIM, lambda real, fake: ssim(real.faces, fake.faces)),
        clip_mean(MOUTH_PSNR, lambda real, fake: psnr(lower(real.faces), lower(fake.faces))),
        clip_mean(MOUTH_SSIM, lambda real, fake: ssim(lower(real.faces), lower(fake.faces))),
        clip_mean(JITTER, lambda real, fake: jitter(fake.faces)),
    ]


def lower(faces: Pictures) -> Pictures:
    """The lower halves, the generated ones: u8 [t, s, s, 3] -> [t, s/2, s, 3]."""
    return faces[:, faces.shape[1] // 2 :]


def psnr(real: Pictures, fake: Pictures) -> float:
    """Peak signal-to-noise ratio in dB, mean over frames.  u8 [t, h, w, 3] each."""
    return _mean_over_frames(partial(metrics.psnr, least=ROUNDING), real, fake)


def ssim(real: Pictures, fake: Pictures) -> float:
    """Structural similarity, 1 if equal, mean over frames.  u8 [t, h, w, 3] each, at least 11 pixels to a side."""
    return _mean_over_frames(metrics.ssim, real, fake)


def lpips(network: Lpips, device: torch.device) -> Measure:
    """The learned distance, by a network on this device."""

    @torch.inference_mode()
    def measure(real: VideoSample, fake: VideoSample) -> float:
        return _mean_over_frames(network, real.faces, fake.faces, device)

    return measure


def _mean_over_frames(
    measure: Callable[[Tensor, Tensor], Tensor], real: Pictures, fake: Pictures, device: torch.device | str = "cpu"
) -> float:
    """Of pictures u8 [t, h, w, 3], a few at a time; measure: [n, 3, h, w] in [-1, 1] each -> [n]."""
    parts = [
        measure(*(to_network(pictures[k : k + BLOCK]).to(device) for pictures in (real, fake)))
        for k in range(0, len(real), BLOCK)
    ]
    return float(torch.cat(parts).double().mean())


def jitter(faces: Pictures) -> float | None:
    """How much what is outside the mouth changes its course from frame to frame: 0 at rest and in steady motion."""
    if len(faces) < 3:
        return None
    outside = _outside(faces.shape[1])
    before, now, after = (faces[k : len(faces) - 2 + k] for k in range(3))
    changes = [
        np.abs(a.astype(np.int16) - 2 * b.astype(np.int16) + c)[outside].mean()
        for a, b, c in zip(before, now, after, strict=True)
    ]
    return float(np.mean(changes))


@lru_cache(maxsize=2)
def _outside(size: int) -> NDArray[np.bool_]:
    """bool [s, s]: neither mouth nor chin."""
    return np.asarray(jaw_mask(size) == 0)
