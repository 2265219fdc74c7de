"""From faces to latents and back: a small autoencoder of our own.

Which one the papers use is not known.  Ours sees 4 x 4 pixels as one position and works at that resolution alone; it
has no norms, so what is visible in a masked face has the latents that it has in the whole one, but for the rows next to
the mask.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from dataset import ClipBatch
from guided_diffusion.blocks import zeroed

from ..metrics import ssim
from ..model import Model


@dataclass(frozen=True)
class AutoencoderConfig:
    """All our choice.

    size      of the faces, pixels
    patch     pixels a side that become one position
    latents   channels
    width     of the layers; encoder, decoder: residual units of each
    noise     deviation of what is added to the latents in training: those of a diffusion are never exact
    structure weight of 1 - SSIM beside the mean absolute error
    """

    size: int = 128
    patch: int = 4
    latents: int = 8
    width: int = 64
    encoder: int = 2
    decoder: int = 4
    noise: float = 0.05
    structure: float = 0.2

    def __post_init__(self) -> None:
        if min(self.size, self.patch, self.latents, self.width) < 1:
            raise ValueError("size, patch, latents and width are 1 or more")
        if self.size % self.patch:
            raise ValueError(f"faces of {self.size} px do not divide into patches of {self.patch}")
        if min(self.encoder, self.decoder) < 0 or self.noise < 0 or self.structure < 0:
            raise ValueError("numbers of units, the noise and the weight of the structure are 0 or more")


class Autoencoder(Model):
    """Latents by a few convolutions: a Space, and a Trainable by itself."""

    config: AutoencoderConfig
    bounded = False

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        pixels, width = 3 * config.patch**2, config.width
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(config.patch),
            nn.Conv2d(pixels, width, 3, padding=1),
            *(ResidualUnit(width) for _ in range(config.encoder)),
            nn.SiLU(),
            nn.Conv2d(width, config.latents, 3, padding=1),
        )
        self.normal = nn.BatchNorm2d(config.latents, affine=False, momentum=0.02)  # zero mean, unit deviation
        self.decoder = nn.Sequential(
            nn.Conv2d(config.latents, width, 3, padding=1),
            *(ResidualUnit(width) for _ in range(config.decoder)),
            nn.SiLU(),
            nn.Conv2d(width, pixels, 3, padding=1),
            nn.PixelShuffle(config.patch),
        )

    @property
    def size(self) -> int:
        return self.config.size

    @property
    def shape(self) -> tuple[int, int, int]:
        side = self.config.size // self.config.patch
        return self.config.latents, side, side

    def encode(self, faces: Tensor) -> Tensor:
        output: Tensor = self.normal(self.encoder(faces).float())
        return output

    def decode(self, latents: Tensor) -> Tensor:
        output: Tensor = self.decoder(latents).float()
        return output

    def objectives(self) -> dict[str, list[nn.Parameter]]:
        return {"autoencoder": list(self.parameters())}

    def losses(self, clips: ClipBatch, generator: Generator) -> dict[str, dict[str, Tensor]]:
        """What is lost of the faces and their references on the way there and back."""
        faces = torch.cat([clips.faces.flatten(0, 1), clips.reference[:, 0]])
        latents = self.encode(faces)
        noise = torch.randn(latents.shape, generator=generator, device=generator.device).to(latents.device)
        restored = self.decode(latents + self.config.noise * noise)
        return {
            "autoencoder": {
                "absolute": (restored - faces).abs().mean(),
                "structure": self.config.structure * (1 - ssim(restored, faces).mean()),
            }
        }


class ResidualUnit(nn.Module):
    """SiLU, conv, SiLU, conv, around a skip.  [n, c, h, w] -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(), zeroed(nn.Conv2d(width, width, 3, padding=1)),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = x + self.layers(x)
        return output
