"""The sound encoder that Diff2Lip and the sync expert share: a mel window of 0.2 s becomes features."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from guided_diffusion.blocks import EmbedSequential, Resample, ResBlock, normalization, timestep_embedding, zeroed

WIDTHS = (32, 64, 96, 128)
STRIDES = ((2, 1), (2, 1), (2, 2))  # between the levels, over (feature, time)
EMBEDDING = 32  # of its own time embedding, which is always told t = 0


@dataclass(frozen=True)
class SoundConfig:
    """The default is Diff2Lip's released encoder.

    positions: the style head tells bands and moments apart; the released one sees only their average.
    """

    res_blocks: int = 2
    positions: bool = False


class SoundEncoder(nn.Module):
    """mel [b, 80, 16] in [-4, 4] -> features [b, 128, 8, 8]."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.input_block = nn.Sequential(nn.Conv1d(80, 64, 3, padding=1), normalization(64), nn.SiLU())
        width = WIDTHS[0]
        blocks = [EmbedSequential(nn.Conv2d(1, width, 3, padding=1))]
        for level, out in enumerate(WIDTHS):
            for _ in range(config.res_blocks):
                blocks.append(EmbedSequential(ResBlock(width, out, EMBEDDING)))
                width = out
            if level < len(STRIDES):
                down = Resample(STRIDES[level], up=False)
                blocks.append(EmbedSequential(ResBlock(width, width, EMBEDDING, resample=down)))
        self.encoder_blocks = nn.ModuleList(blocks)
        self.middle_block = EmbedSequential(ResBlock(width, width, EMBEDDING))

    def forward(self, mel: Tensor) -> Tensor:
        zero = torch.zeros(len(mel), device=mel.device)
        embedding = self.time_embed(timestep_embedding(zero, EMBEDDING).to(mel.dtype))
        h = self.input_block(mel)[:, None]                              # [b, 1, 64, 16]
        for block in self.encoder_blocks:
            h = block(h, embedding)
        features: Tensor = self.middle_block(h, embedding)              # [b, 128, 8, 8]
        return features


def embedding_head(width: int) -> nn.Sequential:
    """Features [b, 128, 8, 8] -> what is said, [b, width]: bands told apart, moments averaged."""
    return nn.Sequential(
        normalization(WIDTHS[-1]), nn.SiLU(), nn.AdaptiveAvgPool2d((8, 1)), nn.Flatten(),
        nn.Linear(WIDTHS[-1] * 8, width),
    )  # fmt: skip


class SoundEmbedder(nn.Module):
    """mel [b, 80, 16] in [-4, 4] -> [b, width]: what a sync expert makes of sound, before it is scaled to length 1."""

    def __init__(self, config: SoundConfig, width: int) -> None:
        super().__init__()
        self.features = SoundEncoder(config)
        self.head = embedding_head(width)

    def forward(self, mel: Tensor) -> Tensor:
        output: Tensor = self.head(self.features(mel))
        return output


def style_head(width: int, config: SoundConfig) -> nn.Sequential:
    """Features [b, 128, 8, 8] -> a style vector [b, width, 1, 1], zero at the start of training."""
    pool, kernel = (nn.Identity(), 8) if config.positions else (nn.AdaptiveAvgPool2d(1), 1)
    return nn.Sequential(normalization(WIDTHS[-1]), nn.SiLU(), pool, zeroed(nn.Conv2d(WIDTHS[-1], width, kernel)))
