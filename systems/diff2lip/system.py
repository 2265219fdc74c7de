"""Diff2Lip as a System: hide the lower half of the face, show another frame, listen, and fill the half in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from dataset import ClipBatch
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig

from ..inpainting import Inpainter
from ..sound import SoundConfig, SoundEncoder
from .network import Diff2LipNetwork


@dataclass(frozen=True)
class Diff2LipConfig:
    """The defaults are the paper's.

    sampling, fast, best   how generate.py samples: by default, and with the other two qualities
    mask_ratio             share of the rows hidden, from below
    mask_fill  what hides them in the condition: noise (the paper) or zeros
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"hide": "mask_ratio", "fill": "mask_fill"}

    unet: UNetConfig = field(default_factory=UNetConfig)
    sound: SoundConfig = field(default_factory=SoundConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    sampling: SampleConfig = field(default_factory=SampleConfig)
    fast: SampleConfig = field(default_factory=lambda: SampleConfig("dpm++", "8"))
    best: SampleConfig = field(default_factory=lambda: SampleConfig("ddim", "ddim100"))
    mask_ratio: float = 0.5
    mask_fill: Literal["noise", "zeros"] = "noise"

    def __post_init__(self) -> None:
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie in (0, 1), not {self.mask_ratio}")
        outputs = 6 if self.diffusion.learn_variance else 3
        if (self.unet.in_channels, self.unet.out_channels) != (9, outputs):
            raise ValueError(f"Diff2Lip's network has 9 channels in and here {outputs} out")


@dataclass(frozen=True)
class Conditions:
    """What the denoiser may see of n frames, and nothing else.

    mask       [1, 1, s, s]  1 where the face is to be generated
    filled     [n, 3, s, s]  the face above, noise or zeros below
    reference  [n, 3, s, s]
    style      [n, e]        what is heard
    """

    mask: Tensor
    filled: Tensor
    reference: Tensor
    style: Tensor


class Diff2Lip(Inpainter[Conditions]):
    """The network, its process, and what both are given."""

    config: Diff2LipConfig
    network: Diff2LipNetwork

    def __init__(self, config: Diff2LipConfig) -> None:
        super().__init__(config, Diff2LipNetwork(config.unet, config.sound))

    @property
    def sound_encoder(self) -> SoundEncoder:
        return self.network.audio_encoder

    def conditions(self, clips: ClipBatch, noise: Tensor) -> Conditions:
        """Listens to the mel windows and hides the lower half of the faces.  noise [b*t, 3, s, s]."""
        faces = clips.faces.flatten(0, 1)
        hidden = noise if self.config.mask_fill == "noise" else torch.zeros_like(noise)
        return Conditions(
            mask=self.mask,
            filled=faces * (1 - self.mask) + hidden * self.mask,
            reference=clips.reference.flatten(0, 1),
            style=self.network.listen(clips.mel.flatten(0, 1)),
        )

    def denoise(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """The network's output [n, 3 or 6, s, s]; the visible half is put back into x_t first."""
        c = conditions
        visible = x_t * c.mask + c.filled * (1 - c.mask)
        output: Tensor = self.network(torch.cat([visible, c.filled, c.reference], dim=1), t, style=c.style)
        return output
