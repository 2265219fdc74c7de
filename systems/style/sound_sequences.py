"""Sequences with their sound itself, for an audio encoder that learns, or that hears the sound varied in each step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from audio.whisper import KEPT, log_mel, windows
from core.errors import BadInput

from .labels import LabelledClip
from .sequences import SequenceBatch, SequenceData, Sequences


@dataclass(frozen=True)
class SoundBatch:
    """b sequences that nobody has heard yet.

    mels       f16 [m, 80, 800] windows of 8 s, as `WhisperEncoder` takes them
    sequences  whose heard [b, t] and reference_heard [b, r] are int64: which of the 100 m features of the windows
    """

    mels: Tensor
    sequences: SequenceBatch

    def to(self, device: torch.device | str) -> "SoundBatch":
        return SoundBatch(self.mels.to(device), self.sequences.to(device))

    def heard_by(self, encoder: nn.Module, mels: Tensor | None = None) -> SequenceBatch:
        """The sequences as a `WhisperEncoder` hears them; mels f32: in place of the own ones, such as varied ones."""
        features = encoder(self.mels.float() if mels is None else mels).flatten(0, 1)  # [100 m, h]
        own, reference = self.sequences.heard, self.sequences.reference_heard
        return replace(self.sequences, heard=features[own], reference_heard=features[reference])


class SoundSequences:
    """Draws the batches that `Sequences` draws.  BadInput as there, or if of a clip only the mel was kept.

    The windows of all clips are kept in memory, 128 kB each, from the first time on that a clip is drawn.
    """

    def __init__(self, clips: Sequence[LabelledClip], config: SequenceData, *, batch: int, seed: int) -> None:
        self._windows: list[Tensor] = []
        self._sequences = Sequences(clips, self._numbered, config, batch=batch, seed=seed)

    def __getitem__(self, step: int) -> SoundBatch:
        drawn = self._sequences[step]
        places = torch.cat([drawn.heard, drawn.reference_heard], dim=1)
        numbers, back = torch.unique(places // KEPT, return_inverse=True)
        renumbered = back * KEPT + places % KEPT
        own, reference = renumbered.split([drawn.heard.shape[1], drawn.reference_heard.shape[1]], dim=1)
        mels = torch.stack([self._windows[number] for number in numbers.tolist()])
        return SoundBatch(mels, replace(drawn, heard=own, reference_heard=reference))

    def _numbered(self, clip: LabelledClip) -> Tensor:
        """Keeps the windows of a clip; -> which of the features of all windows belongs to each of its frames."""
        first = len(self._windows) * KEPT
        self._windows += [log_mel(window).half() for window in windows(clip.sound.blocks())]
        known = len(self._windows) * KEPT - first
        if known <= 0:
            raise BadInput(f"{clip.clip.name}: has no sound")
        return first + torch.from_numpy(np.arange(len(clip.moves)).clip(max=known - 1))
