"""Stage 2's network: a face from lip motion, the masked face and reference faces (arXiv 2408.05412).

What the paper's known text says is marked (paper); everything else is our choice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNet, UNetConfig

from ..autoencoder import ResidualUnit
from ..inpainting import check_space, unet_in
from ..model import Model


@dataclass(frozen=True)
class RendererConfig:
    """Latent diffusion: masked face by channels, motion by modulated convolution, references by attention (paper).

    latents                channels, rows and columns of a face's latents (paper), those of the autoencoder that it is
                           trained on; (): in pixels, which is not the paper's configuration
    autoencoder, motion    the fingerprints of that autoencoder and of who read the motion: weights go with no others
    unet                   for faces of unet.image_size pixels; channels, context and modulation follow from the rest
    motion_dim             of a frame's lip motion
    modulation             width of the vector that they become
    references             faces of the same person that are shown
    ordered                whether they come with the widest open mouth first and the most closed one last
    concat_references      how many of them are shown by channels too, as Diff2Lip does, the first, then the last: not
                           the paper's
    framing                how faces are cut: box, by VoxCeleb2's margins; aligned, upright and in one pose
    context_dim            width of what attention sees of them: one token for 4 x 4 positions of the network
    diffusion              the process
    sampling, fast, best   how generate.py samples: by default, and with the other two qualities
    mask_ratio             share of the rows hidden, from below
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "numbers": "motion_dim",
        "beside": "concat_references",
        "tokens": "context_dim",
        "hide": "mask_ratio",
    }

    latents: tuple[int, ...] = (8, 32, 32)
    autoencoder: str = ""
    motion: str = ""
    unet: UNetConfig = field(default_factory=lambda: UNetConfig(channel_mult=(1, 2, 3), attention_resolutions=(16, 8)))
    motion_dim: int = 16
    modulation: int = 256
    references: int = 4
    ordered: bool = False
    concat_references: int = 0
    framing: Literal["box", "aligned"] = "box"
    context_dim: int = 128
    diffusion: DiffusionConfig = field(default_factory=lambda: DiffusionConfig(learn_variance=False))
    sampling: SampleConfig = field(default_factory=SampleConfig)
    fast: SampleConfig = field(default_factory=lambda: SampleConfig("dpm++", "8"))
    best: SampleConfig = field(default_factory=lambda: SampleConfig("ddim", "ddim100"))
    mask_ratio: float = 0.5

    def __post_init__(self) -> None:
        check_space(self.latents, self.size, self.mask_ratio, self.diffusion)
        if self.positions % 4:
            raise ValueError(
                f"{self.positions} positions a side do not divide by 4, as tokens of references do"
            )
        if self.diffusion.learn_variance:
            raise ValueError("this renderer learns no variance")
        if min(self.motion_dim, self.modulation, self.references, self.context_dim) < 1:
            raise ValueError("motion_dim, modulation, references and context_dim are 1 or more")
        if not 0 <= self.concat_references <= min(self.references, 2):
            raise ValueError(f"concat_references is 0, 1 or 2 of the references, not {self.concat_references}")

    @staticmethod
    def upgraded(values: dict[str, Any]) -> dict[str, Any]:
        """Of older checkpoints, which say whether a reference is beside, not how many."""
        old = values.get("concat_references", 0)
        return values | {"concat_references": int(old)} if isinstance(old, bool) else values

    @property
    def size(self) -> int:
        """Of a face, pixels."""
        return self.unet.image_size

    @property
    def network(self) -> UNetConfig:
        """The UNet as it is built."""
        unet = replace(self.unet, out_channels=3, context_channels=self.context_dim, modulation=self.modulation)
        return unet_in(self.latents, unet, 2 + self.concat_references)

    @property
    def positions(self) -> int:
        """A side of the network's widest layers."""
        return self.network.image_size // self.network.patch


class Renderer(Model):
    """The UNet with what makes a vector of lip motion and tokens of references."""

    config: RendererConfig

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.network)
        self.mapping = nn.Sequential(
            nn.Linear(config.motion_dim, config.modulation), nn.SiLU(), nn.Linear(config.modulation, config.modulation),
            nn.SiLU(),
        )  # fmt: skip
        self.reference_encoder = ReferenceEncoder(config)

    @property
    def size(self) -> int:
        return self.config.size

    def forward(self, elements: Tensor, t: Tensor, modulation: Tensor, context: Tensor) -> Tensor:
        """elements [n, (2 + concat_references) c, h, w], the noisy ones first -> what is predicted of these
        [n, c, h, w]."""
        output: Tensor = self.unet(elements, t, modulation=modulation, context=context)
        return output


class ReferenceEncoder(nn.Module):
    """k references [n, k, c, h, w] -> tokens [n, q, width], q = k (positions / 4)^2; all references are told alike."""

    def __init__(self, config: RendererConfig) -> None:
        super().__init__()
        unet, width = config.network, config.context_dim
        self.patch = unet.patch
        self.layers = nn.Sequential(
            nn.Conv2d(unet.out_channels * unet.patch**2, width // 2, 3, stride=2, padding=1), ResidualUnit(width // 2),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1), ResidualUnit(width),
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)
        self.positions = nn.Parameter(nn.init.normal_(torch.empty((config.positions // 4) ** 2, width), std=0.02))

    def forward(self, references: Tensor) -> Tensor:
        patches = F.pixel_unshuffle(references.flatten(0, 1), self.patch)
        features = self.layers(patches).flatten(2).mT  # [n k, q / k, width]
        tokens = self.norm(features) + self.positions
        output: Tensor = tokens.reshape(len(references), -1, tokens.shape[2])
        return output
