"""What it shows its network: the face with its lower half hidden, a reference, and how loud each band is."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audio import MELS
from dataset import AudioFeatures, ClipBatch, Needs
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNet, UNetConfig
from systems.inpainting import Inpainter
from systems.preset import SMALL_DIFFUSION


@dataclass(frozen=True)
class EchoConfig:
    """Of a network for faces of 32 px."""

    unet: UNetConfig = field(default_factory=lambda: UNetConfig(
        image_size=32, channels=32, channel_mult=(1, 2), res_blocks=1, attention_resolutions=(), head_channels=32,
        in_channels=9, out_channels=3, patch=2,
    ))  # fmt: skip
    diffusion: DiffusionConfig = SMALL_DIFFUSION
    sampling: SampleConfig = field(default_factory=lambda: SampleConfig("ddim", "2"))
    fast: SampleConfig = field(default_factory=lambda: SampleConfig("ddim", "1"))
    best: SampleConfig = field(default_factory=lambda: SampleConfig("ddim", "4"))
    mask_ratio: float = 0.5


@dataclass(frozen=True)
class Loudness:
    """A condition of its own: the mean of each mel window over time, f32 [80]."""

    name: ClassVar[str] = "loudness"
    filterbanks: ClassVar[bool] = False
    shape: ClassVar[tuple[int, ...]] = (MELS,)

    def windows(self, sound: AudioFeatures, start: int, stop: int, fps: Fraction) -> NDArray[np.float32]:
        means: NDArray[np.float32] = sound.mel.windows(start, stop, fps).mean(axis=2)
        return means


@dataclass(frozen=True)
class Conditions:
    """mask [1, 1, s, s]; filled, reference [n, 3, s, s]; style [n, e]."""

    mask: Tensor
    filled: Tensor
    reference: Tensor
    style: Tensor


class EchoNetwork(nn.Module):
    """A UNet, and a line from the loudness of 80 bands to its style."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.unet = UNet(config)
        self.listen = nn.Linear(80, config.embedding)


class Echo(Inpainter[Conditions]):
    """A System."""

    needs = Needs((Loudness(),))
    config: EchoConfig
    network: EchoNetwork

    def __init__(self, config: EchoConfig) -> None:
        super().__init__(config, EchoNetwork(config.unet))

    @property
    def sound_encoder(self) -> nn.Module:
        return self.network.listen

    def conditions(self, clips: ClipBatch, noise: Tensor) -> Conditions:
        filled = clips.faces.flatten(0, 1) * (1 - self.mask)
        style = self.network.listen(clips.audio["loudness"].flatten(0, 1))
        return Conditions(self.mask, filled, clips.reference.flatten(0, 1), style)

    def denoise(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        c = conditions
        visible = x_t * c.mask + c.filled * (1 - c.mask)
        made: Tensor = self.network.unet(torch.cat([visible, c.filled, c.reference], dim=1), t, style=c.style)
        return made
