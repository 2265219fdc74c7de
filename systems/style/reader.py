"""From faces to lip motion, with no landmark package: a small network that learned it from one (all our choice)."""

from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from guided_diffusion.blocks import normalization


class ReadsMotion(Protocol):
    """Whoever tells the lip motion of a face; a fit of a 3D morphable model would be another one."""

    def __call__(self, faces: Tensor) -> Tensor:
        """faces [n, 3, s, s] RGB in [-1, 1] -> motion [n, d], float32; differentiable."""
        ...


@dataclass(frozen=True)
class ReaderConfig:
    """patch: the side of the squares that become one position; widths: of the stages, each but the first halving."""

    patch: int = 4
    widths: tuple[int, ...] = (32, 64, 96)
    hidden: int = 128

    def __post_init__(self) -> None:
        if self.patch < 1 or self.hidden < 1 or not self.widths or any(width % 32 for width in self.widths):
            raise ValueError("a reader has patches of 1 or more pixels, and widths that are multiples of 32")


class MotionReader(nn.Module):
    """faces [n, 3, s, s] RGB in [-1, 1] -> motion [n, d]."""

    def __init__(self, config: ReaderConfig, size: int, numbers: int) -> None:
        super().__init__()
        side, halved = divmod(size, config.patch * 2 ** (len(config.widths) - 1))
        if halved:
            raise ValueError(f"size {size} is not divided by patches of {config.patch} that halve; use 128")
        self.patch = config.patch
        layers: list[nn.Module] = []
        width = 3 * config.patch**2
        for stage, out in enumerate(config.widths):
            layers += [*_conv(width, out, stride=2 if stage else 1), *_conv(out, out, stride=1)]
            width = out
        self.stages = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(width * side * side, config.hidden), nn.SiLU(), nn.Linear(config.hidden, numbers)
        )

    def forward(self, faces: Tensor) -> Tensor:
        patches = F.pixel_unshuffle(faces, self.patch)                  # [n, 3 p p, s/p, s/p]
        motion: Tensor = self.head(self.stages(patches)).float()
        return motion


def _conv(width: int, out: int, *, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(width, out, 3, stride=stride, padding=1), normalization(out), nn.SiLU()]
