"""Stage 2's network: latents of a face from lip motion, the masked face and reference faces (arXiv 2408.05412).

What the paper's known text says is marked (paper); everything else is our choice.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNet, UNetConfig

from .autoencoder import ResidualUnit


@dataclass(frozen=True)
class RendererConfig:
    """Latent diffusion: masked face by channels, lip motion by modulated convolution, references by attention (paper).

    size                   of the faces, pixels
    latents                channels, rows and columns of a face's latents: those of the autoencoder it is trained on
    autoencoder, motion    the fingerprints of that autoencoder and of who read the motion: weights go with no others
    unet                   its resolution, channels in and out, context and modulation follow from the rest
    numbers                of a frame's lip motion
    modulation             width of the vector that they become
    references             faces of the same person that are shown
    tokens                 width of what attention sees of them: one token for 4 x 4 positions of their latents
    diffusion              the process
    sampling, fast, best   how generate.py samples: by default, and with the other two qualities; latents are unbounded
    hide                   share of the rows hidden, from below
    """

    size: int = 128
    latents: tuple[int, ...] = (8, 32, 32)
    autoencoder: str = ""
    motion: str = ""
    unet: UNetConfig = field(default_factory=lambda: UNetConfig(channel_mult=(1, 2, 3), attention_resolutions=(16, 8)))
    numbers: int = 16
    modulation: int = 256
    references: int = 4
    tokens: int = 128
    diffusion: DiffusionConfig = field(default_factory=lambda: DiffusionConfig(learn_variance=False))
    sampling: SampleConfig = field(default_factory=lambda: SampleConfig(clip=False))
    fast: SampleConfig = field(default_factory=lambda: SampleConfig("dpm++", "8", clip=False))
    best: SampleConfig = field(default_factory=lambda: SampleConfig("ddim", "ddim100", clip=False))
    hide: float = 0.5

    def __post_init__(self) -> None:
        square = len(self.latents) == 3 and self.latents[1] == self.latents[2]
        if not square or self.size % self.latents[1] or self.latents[1] % 4:
            raise ValueError(f"latents {self.latents} are not those of a square face of {self.size} px")
        if not 0 < self.hide < 1 or self.latents[1] * (1 - self.hide) % 1:
            raise ValueError(f"hide {self.hide} must lie in (0, 1) and leave whole rows of {self.latents[1]}")
        if self.diffusion.learn_variance or any(s.clip for s in (self.sampling, self.fast, self.best)):
            raise ValueError("latents have no learned variance here, and are not to be clipped")
        if min(self.numbers, self.modulation, self.references, self.tokens) < 1:
            raise ValueError("numbers, modulation, references and tokens are 1 or more")

    @property
    def network(self) -> UNetConfig:
        """The UNet as it is built."""
        channels, rows, _ = self.latents
        return replace(
            self.unet, image_size=rows, in_channels=2 * channels, out_channels=channels,
            context_channels=self.tokens, modulation=self.modulation,
        )  # fmt: skip


class Renderer(nn.Module):
    """The UNet with what makes a vector of lip motion and tokens of references."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.network)
        self.mapping = nn.Sequential(
            nn.Linear(config.numbers, config.modulation), nn.SiLU(), nn.Linear(config.modulation, config.modulation),
            nn.SiLU(),
        )  # fmt: skip
        self.reference_encoder = ReferenceEncoder(config)

    @property
    def size(self) -> int:
        return self.config.size

    def forward(self, latents: Tensor, t: Tensor, modulation: Tensor, context: Tensor) -> Tensor:
        """latents [n, 2 c, h, w], the noisy ones before those of the masked face -> what is predicted [n, c, h, w]."""
        return self.unet(latents, t, modulation=modulation, context=context)  # type: ignore[no-any-return]


class ReferenceEncoder(nn.Module):
    """Latents of k references [n, k, c, h, w] -> tokens [n, k h/4 w/4, width]; all references are told alike."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        channels, rows, columns = config.latents
        self.layers = nn.Sequential(
            nn.Conv2d(channels, config.tokens // 2, 3, stride=2, padding=1), ResidualUnit(config.tokens // 2),
            nn.Conv2d(config.tokens // 2, config.tokens, 3, stride=2, padding=1), ResidualUnit(config.tokens),
        )  # fmt: skip
        self.norm = nn.LayerNorm(config.tokens)
        self.positions = nn.Parameter(torch.randn((rows // 4) * (columns // 4), config.tokens) * 0.02)

    def forward(self, latents: Tensor) -> Tensor:
        features = self.layers(latents.flatten(0, 1)).flatten(2).mT     # [n k, h/4 w/4, width]
        tokens = self.norm(features) + self.positions
        return tokens.reshape(len(latents), -1, tokens.shape[2])  # type: ignore[no-any-return]
