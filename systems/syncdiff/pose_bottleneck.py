"""The bottleneck of the pose frame: a picture becomes a few numbers, which tell the pose and have no room for the lips.

A frame next to the one to be made shows its mouth almost as it should be; a network that sees all of it copies it and
ignores the sound (SyncDiff, the shortcut).  The layers are our choice.
"""

import torch
from torch import Tensor, nn

from guided_diffusion.blocks import normalization, zeroed

from .config import PoseConfig

GRID = 4  # positions a side that the numbers are made of: pose is where things are
INSIDE, HEADS = 64, 4  # of the attention over time


class PoseBottleneck(nn.Module):
    """poses [n, h, 3, s, s] RGB in [-1, 1], in their order -> a style vector [n, embedding].

    It is zero at the start of training.  With a history of several frames the last one attends to all of them.
    """

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
        self.time = OverTime(config.width, config.history) if config.history > 1 else None
        self.head = nn.Sequential(nn.SiLU(), zeroed(nn.Linear(config.width, embedding)))

    def numbers(self, pose: Tensor) -> Tensor:
        """All that is known of the pose frame behind the bottleneck: [n, width]."""
        numbers: Tensor = self.encoder(pose)
        return numbers

    def forward(self, poses: Tensor) -> Tensor:
        numbers = self.numbers(poses.flatten(0, 1)).reshape(*poses.shape[:2], -1)
        style: Tensor = self.head(numbers[:, -1] if self.time is None else self.time(numbers))
        return style


class OverTime(nn.Module):
    """numbers [n, h, width] -> the last frame's, with what attention finds in the frames before it [n, width]."""

    def __init__(self, width: int, history: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(nn.init.normal_(torch.empty(history, INSIDE), std=0.02))
        self.inside = nn.Linear(width, INSIDE)
        self.attention = nn.MultiheadAttention(INSIDE, HEADS, batch_first=True)
        self.outside = nn.Linear(INSIDE, width)

    def forward(self, numbers: Tensor) -> Tensor:
        tokens = self.inside(numbers) + self.positions
        attended, _ = self.attention(tokens[:, -1:], tokens, tokens, need_weights=False)
        last: Tensor = numbers[:, -1] + self.outside(attended[:, 0])
        return last
