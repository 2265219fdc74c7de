"""Sequences with their sound itself, for an audio encoder that learns, or that hears the sound varied in each step."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from audio.whisper import KEPT, log_mel, windows
from video.opening import one_thread_each

from .labels import LabelledClip
from .sequences import SequenceBatch, SequenceData, Sequences, sequence, stacked


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
        self._sequences = Sequences(clips, _unheard, config, batch=batch, seed=seed)
        self._windows: dict[int, Tensor] = {}  # of each clip drawn so far

    def __getitem__(self, step: int) -> SoundBatch:
        clips, plans = self._sequences.all, self._sequences.plans(step)
        drawn = list(dict.fromkeys(number for own, parts in plans for number, _ in (own, *parts)))
        self._read([number for number in drawn if number not in self._windows])
        places, first = {}, 0  # of each drawn clip's features among those of all windows
        for number in drawn:
            known = KEPT * len(self._windows[number])
            places[number] = first + torch.arange(len(clips[number].moves)).clamp(max=known - 1)
            first += known
        sequences = []
        for (number, part), parts in plans:
            reference = torch.cat([places[other][stretch] for other, stretch in parts])
            sequences.append(sequence(clips, (number, part), parts, places[number][part], reference))
        return SoundBatch(torch.cat([self._windows[number] for number in drawn]), stacked(sequences))

    def _read(self, numbers: Sequence[int]) -> None:
        """On all cores: decoding is most of the work, and done once."""
        clips = [self._sequences.all[number] for number in numbers]
        with one_thread_each(), ThreadPoolExecutor() as pool:
            self._windows.update(zip(numbers, pool.map(_read, clips), strict=True))


def mels_of(clip: LabelledClip) -> Tensor:
    """The windows of a clip, f32 [n, 80, 800]."""
    return torch.stack([log_mel(window) for window in windows(clip.sound.blocks())])


def _read(clip: LabelledClip) -> Tensor:
    return mels_of(clip).half()


def _unheard(clip: LabelledClip) -> Tensor:
    raise NotImplementedError("nobody hears here")
