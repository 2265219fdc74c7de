"""Other voices and rooms for the same words: how the sound that an audio encoder hears is varied in training."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

DECADES = 4.0       # of power in a unit of a mel of Whisper's
LN10 = 2.302585092994046
STRIPES = 2         # of bands and of moments that are hidden
QUIETEST, LOUDEST = 6.0, 1.5  # decades of power by which noise lies below the loudest sound


@dataclass(frozen=True)
class SoundVariation:
    """0 leaves a thing out.

    voice   the frequencies of a window are stretched by up to this share, as another vocal tract would (Jaitly & Hinton
            2013)
    hidden  up to this share of the bands is silent, and up to a quarter of it of the moments, in two stripes each
            (SpecAugment, Park et al. 2019)
    noise   share of the windows in which a steady noise is heard besides
    versions  0: the sound is varied and heard anew in every step; else each clip is heard so many times varied, once,
            besides as it is, and a sequence gets any of these (much cheaper, for an audio encoder that does not learn)
    """

    voice: float = 0.0
    hidden: float = 0.0
    noise: float = 0.0
    versions: int = 0

    def __post_init__(self) -> None:
        if self.versions < 0:
            raise ValueError("versions is 0 or more")
        if not (0 <= self.voice < 0.5 and 0 <= self.hidden < 1 and 0 <= self.noise <= 1):
            raise ValueError("voice lies in [0, 0.5), hidden in [0, 1), noise in [0, 1]")

    def __bool__(self) -> bool:
        return any((self.voice, self.hidden, self.noise))


def varied(mels: Tensor, how: SoundVariation, generator: Generator) -> Tensor:
    """Log-mels of Whisper's f32 [m, bands, moments], each window varied by itself; generator: of their device."""
    if how.voice:
        mels = _stretched(mels, 1 + how.voice * (2 * _drawn(len(mels), generator) - 1))
    if how.noise:
        mels = _noisy(mels, how.noise, generator)
    if how.hidden:
        mels = _hidden(mels, how.hidden, 1, generator)
        mels = _hidden(mels, how.hidden / 4, 2, generator)
    return mels


def _drawn(count: int, generator: Generator) -> Tensor:
    """Evenly from [0, 1)"""
    return torch.rand(count, generator=generator, device=generator.device)


def _stretched(mels: Tensor, by: Tensor) -> Tensor:
    """Band k sounds like band k * by did, the last one like itself and all above."""
    m, bands, moments = mels.shape
    rows = torch.arange(bands, device=mels.device) * by[:, None]        # [m, bands]
    grid_y = (2 * rows + 1) / bands - 1
    grid_x = (2 * torch.arange(moments, device=mels.device) + 1) / moments - 1
    grid = torch.stack(
        [grid_x.expand(m, bands, moments), grid_y[:, :, None].expand(m, bands, moments)], dim=3
    )  # fmt: skip
    return F.grid_sample(mels[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


def _noisy(mels: Tensor, share: float, generator: Generator) -> Tensor:
    """With a noise alike in all bands in some of the windows."""
    draws = _drawn(2 * len(mels), generator).view(2, -1, 1, 1)
    loudest = mels.amax(dim=(1, 2), keepdim=True)
    level = loudest - (LOUDEST + (QUIETEST - LOUDEST) * draws[0]) / DECADES
    rough = torch.randn(mels.shape, generator=generator, device=generator.device) * 0.2 / DECADES
    both = torch.logaddexp(mels * DECADES * LN10, (level + rough) * DECADES * LN10) / (DECADES * LN10)
    return torch.where(draws[1] < share, both, mels)


def _hidden(mels: Tensor, share: float, dim: int, generator: Generator) -> Tensor:
    """With stripes across a dimension as silent as the window's most silent place, `share` wide together at most."""
    count, length = len(mels), mels.shape[dim]
    silence = mels.amin(dim=(1, 2), keepdim=True)
    places = torch.arange(length, device=mels.device)
    for _ in range(STRIPES):
        draws = _drawn(2 * count, generator).view(2, -1, 1, 1)
        width = draws[0] * share / STRIPES * length
        start = draws[1] * (length - width)
        covered = (places >= start) & (places < start + width)          # [m, 1, length]
        mels = torch.where(covered.mT if dim == 1 else covered, silence, mels)
    return mels
