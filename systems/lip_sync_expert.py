"""What a sync expert offers, whoever trained it: how well mouths and sound belong together."""

from typing import Protocol, Self

import torch
from torch import Tensor

FRAMES = 5  # that an expert of Wav2Lip's kind looks at, against one mel window of 16 columns


class LipSyncExpert(Protocol):
    """Embeds 5 frames of a face and what is heard with them into one space; in sync means near."""

    @property
    def size(self) -> int: ...

    def embed_faces(self, faces: Tensor) -> Tensor:
        """faces [b, 5, 3, s, s] RGB in [-1, 1] -> unit vectors [b, d]."""
        ...

    def embed_sound(self, speech: Tensor) -> Tensor:
        """speech [b, 80, 16] in [-4, 4] -> unit vectors [b, d]."""
        ...

    def sync_probability(self, faces: Tensor, speech: Tensor) -> Tensor:
        """The cosine of each pair, mapped to (0, 1): 1 is in sync.  [b]"""
        ...

    def to(self, device: torch.device) -> Self: ...
