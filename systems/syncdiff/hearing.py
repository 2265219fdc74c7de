"""What is heard with each frame, as tokens that the network attends to."""

import torch
from torch import Tensor, nn

from audio.avhubert import AvHubert
from dataset import ClipBatch

from ..sound import WIDTHS, SoundEmbedder
from .config import SyncDiffConfig


class AvHubertHearing(nn.Module):
    """The middle features of each frame's window.  batch -> [b t, tokens, width]"""

    def __init__(self, config: SyncDiffConfig) -> None:
        super().__init__()
        self.encoder = AvHubert(config.avhubert)
        self.encoder.freeze(config.frozen)
        self.norm = nn.LayerNorm(config.avhubert.width)
        self.positions = _positions(config.audio_tokens, config.avhubert.width)
        self.fbank_frames, self.audio_tokens = config.fbank_frames, config.audio_tokens

    def forward(self, clips: ClipBatch) -> Tensor:
        """ValueError if the batch does not hold the filter banks that it needs."""
        banks = clips.audio.get("banks")
        if banks is None or banks.shape[2] != self.fbank_frames:
            raise ValueError(f"AV-HuBERT hears {self.fbank_frames} rows of filter banks a frame, the batch has others")
        features = self.encoder(banks.flatten(0, 1))              # [b t, rows, width]
        first = self.fbank_frames // 2 - self.audio_tokens // 2                       # the frame's own row is rows // 2
        output: Tensor = self.norm(features[:, first : first + self.audio_tokens]) + self.positions
        return output


class MelHearing(nn.Module):
    """What a sync expert's sound encoder makes of each frame's window.  batch -> [b t, tokens, width]

    Attention weighs tokens, and treats all alike: which band and which moment a thing was heard in must be told by the
    numbers of a token, not by its place.  So the tokens are made of the embedding of the whole window.
    """

    def __init__(self, config: SyncDiffConfig) -> None:
        super().__init__()
        self.encoder = SoundEmbedder(config.mel, config.audio_embed_dim)
        self.norm = nn.LayerNorm(config.audio_embed_dim)
        self.spread = nn.Linear(config.audio_embed_dim, config.audio_tokens * WIDTHS[-1])
        self.audio_tokens = config.audio_tokens

    def forward(self, clips: ClipBatch) -> Tensor:
        features = self.norm(self.encoder(clips.mel.flatten(0, 1)))        # [b t, heard]
        output: Tensor = self.spread(features).reshape(len(features), self.audio_tokens, -1)
        return output


def _positions(count: int, width: int) -> nn.Parameter:
    """Attention does not know which token is which; these tell."""
    return nn.Parameter(nn.init.normal_(torch.empty(count, width), std=0.02))
