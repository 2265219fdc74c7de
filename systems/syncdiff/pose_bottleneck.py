"""The bottleneck of the pose frame: a picture becomes a few numbers, which tell the pose and have no room for the lips.

A frame next to the one to be made shows its mouth almost as it should be; a network that sees all of it copies it and
ignores the sound (SyncDiff, the shortcut).  The layers are our choice.
"""

from torch import Tensor, nn

from guided_diffusion.blocks import normalization, zeroed

from .config import PoseConfig

GRID = 4  # positions a side that the numbers are made of: pose is where things are


class PoseBottleneck(nn.Module):
    """pose [n, 3, s, s] RGB in [-1, 1] -> a style vector [n, embedding], zero at the start of training."""

    def __init__(self, config: PoseConfig, embedding: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for out in config.widths:
            layers += [nn.Conv2d(width, out, 3, stride=2, padding=1), normalization(out), nn.SiLU()]
            width = out
        self.encoder = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(GRID), nn.Flatten(), nn.Linear(width * GRID**2, config.width)
        )
        self.head = nn.Sequential(nn.SiLU(), zeroed(nn.Linear(config.width, embedding)))

    def numbers(self, pose: Tensor) -> Tensor:
        """All that is known of the pose frame behind the bottleneck: [n, width]."""
        numbers: Tensor = self.encoder(pose)
        return numbers

    def forward(self, pose: Tensor) -> Tensor:
        style: Tensor = self.head(self.numbers(pose))
        return style
