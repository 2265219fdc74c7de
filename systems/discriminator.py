"""The sequence discriminator: a PatchGAN (Isola et al. 2017) that sees a sequence, its frames stacked on the channels.

With the paper's 5 it judges movement as well as looks (Diff2Lip, Mukhopadhyay et al. 2024, section 3.3).
Depth, widths and normalisation are our choice.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from guided_diffusion.blocks import normalization


@dataclass(frozen=True)
class DiscriminatorConfig:
    """How the discriminator of a GAN is built and taught.

    frames         stacked
    widths         of the layers, each halving the picture but the last
    normalized     by GroupNorm, or by the spectral norm of the weights (Miyato et al. 2018)
    rows           it sees the rows from this share of a face down
    learning_rate  times that of the network (Heusel et al. 2017)
    betas          of its AdamW
    """

    frames: int = 5
    widths: tuple[int, ...] = (64, 128, 256, 512)
    normalized: Literal["group", "spectral"] = "group"
    rows: float = 0.0
    learning_rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if self.frames < 1 or not self.widths or not 0 <= self.rows < 1 or self.learning_rate <= 0:
            raise ValueError("a discriminator sees at least 1 frame of some rows, and learns")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are two numbers in [0, 1), not {self.betas}")


class Discriminator(nn.Module):
    """faces [b, t, 3, s, s] in [-1, 1] -> a logit for each patch of pixels [b, 1, h, w]; above 0 means real."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        spectral = config.normalized == "spectral"
        width = config.frames * 3
        layers: list[nn.Module] = []
        for i, out in enumerate(config.widths, start=1):
            last = i == len(config.widths) > 1
            layers.append(nn.Conv2d(width, out, 4, stride=1 if last else 2, padding=1))
            if i > 1 and not spectral:
                layers.append(normalization(out))
            layers.append(nn.LeakyReLU(0.2))
            width = out
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, padding=1))
        if spectral:
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    spectral_norm(layer)

    def forward(self, faces: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The logits, and what comes out of each layer before them [b, c, h, w]."""
        x = faces[..., round(self.config.rows * faces.shape[-2]) :, :].flatten(1, 2)
        features = []
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                features.append(x)
        return x.float(), features
