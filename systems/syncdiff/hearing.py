"""What is heard with each frame, as tokens that the network attends to."""

import torch
from torch import Tensor, nn

from audio.avhubert import AvHubert
from dataset import ClipBatch

from ..sound import WIDTHS, SoundEncoder
from .config import SyncDiffConfig

POSITIONS = 64  # of the mel encoder's features: 8 bands x 8 moments


class AvHubertHearing(nn.Module):
    """The middle features of each frame's window.  batch -> [b t, tokens, width]"""

    def __init__(self, config: SyncDiffConfig) -> None:
        super().__init__()
        self.encoder = AvHubert(config.avhubert)
        self.encoder.freeze(config.frozen)
        self.norm = nn.LayerNorm(config.avhubert.width)
        self.positions = _positions(config.tokens, config.avhubert.width)
        self.rows, self.tokens = config.rows, config.tokens

    def forward(self, clips: ClipBatch) -> Tensor:
        """ValueError if the batch does not hold the filter banks that it needs."""
        if clips.banks is None or clips.banks.shape[2] != self.rows:
            raise ValueError(f"AV-HuBERT hears {self.rows} rows of filter banks a frame, the batch has others")
        features = self.encoder(clips.banks.flatten(0, 1))              # [b t, rows, width]
        first = self.rows // 2 - self.tokens // 2                       # the frame's own row is rows // 2
        return self.norm(features[:, first : first + self.tokens]) + self.positions  # type: ignore[no-any-return]


class MelHearing(nn.Module):
    """All positions of Diff2Lip's sound encoder.  batch -> [b t, 64, 128]"""

    def __init__(self, config: SyncDiffConfig) -> None:
        super().__init__()
        self.encoder = SoundEncoder(config.mel)
        self.norm = nn.LayerNorm(WIDTHS[-1])
        self.positions = _positions(POSITIONS, WIDTHS[-1])

    def forward(self, clips: ClipBatch) -> Tensor:
        features = self.encoder(clips.mel.flatten(0, 1))                # [b t, 128, 8, 8]
        return self.norm(features.flatten(2).mT) + self.positions  # type: ignore[no-any-return]


def _positions(count: int, width: int) -> nn.Parameter:
    """Attention does not know which token is which; these tell."""
    return nn.Parameter(torch.randn(count, width) * 0.02)
