"""What it shows its network: the face with its lower half hidden, a reference, and the mean of the mel window."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dataset import ClipBatch
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

    config: EchoConfig
    network: EchoNetwork

    def __init__(self, config: EchoConfig) -> None:
        super().__init__(config, EchoNetwork(config.unet))

    @property
    def sound_encoder(self) -> nn.Module:
        return self.network.listen

    def conditions(self, clips: ClipBatch, noise: Tensor) -> Conditions:
        filled = clips.faces.flatten(0, 1) * (1 - self.mask)
        style = self.network.listen(clips.mel.flatten(0, 1).mean(dim=2))
        return Conditions(self.mask, filled, clips.reference.flatten(0, 1), style)

    def denoise(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        c = conditions
        visible = x_t * c.mask + c.filled * (1 - c.mask)
        made: Tensor = self.network.unet(torch.cat([visible, c.filled, c.reference], dim=1), t, style=c.style)
        return made
