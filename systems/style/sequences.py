"""What stage 1 learns from, a function of (seed, step): faces with their motion, sounds with a reference."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from core.errors import NoData
from dataset import to_network
from dataset.sampling import balanced, check_batch

from .labels import LabelledClip

Part = tuple[int, slice]
"""The number of a clip among all, and frames of it, at 25 a second."""

GAP = 5  # frames between a sequence and what of its own clip may be its reference: a neighbour knows the answer
VERSIONS = 1  # which random numbers choose among versions of a sound: all others stay what they were


@dataclass(frozen=True)
class FaceData:
    """How faces are drawn.  per_clip: of each clip in a batch; balance: as in `WindowConfig`."""

    per_clip: int = 4
    balance: float = 0.5


@dataclass(frozen=True)
class SequenceData:
    """How sequences are drawn.

    frames           of a sequence
    least, most      frames of its reference, drawn evenly between
    stretch          frames of one clip in a reference, at most
    balance          as in `WindowConfig`
    """

    frames: int = 25
    least: int = 25
    most: int = 150
    stretch: int = 50
    balance: float = 0.5

    def __post_init__(self) -> None:
        if self.frames < 2 or not 1 <= self.least <= self.most or self.stretch < 1:
            raise ValueError("a sequence has 2 or more frames, a reference from `least` to `most`, 1 or more")


class _Batch:
    """Tensors that go to a device together."""

    def to(self, device: torch.device | str) -> Self:
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self)}  # type: ignore[arg-type]
        return type(self)(**moved)


@dataclass(frozen=True)
class FaceBatch(_Batch):
    """faces [n, 3, s, s] RGB in [-1, 1] with their motion [n, d]."""

    faces: Tensor
    motion: Tensor


@dataclass(frozen=True)
class SequenceBatch(_Batch):
    """b sequences and the references of their speakers, sounds as the predictor hears them.

    heard [b, t, h]; motion [b, t, d]; reference_heard [b, r, h]; reference_motion [b, r, d];
    reference_mask [b, r] bool, False behind the end of shorter references.
    """

    heard: Tensor
    motion: Tensor
    reference_heard: Tensor
    reference_motion: Tensor
    reference_mask: Tensor


class Faces:
    """Draws batches of single frames."""

    def __init__(self, clips: Sequence[LabelledClip], config: FaceData, *, batch: int, seed: int) -> None:
        check_batch(batch, config.per_clip)
        self.clips, self.config, self.batch, self.seed = clips, config, batch, seed
        self.weights = _balanced(clips, config.balance)

    def __getitem__(self, step: int) -> FaceBatch:
        rng = np.random.default_rng([self.seed, step])
        count = self.config.per_clip
        faces, motion = [], []
        for number in rng.choice(len(self.clips), self.batch // count, p=self.weights):
            known = self.clips[number]
            frames = rng.choice(len(known), count, replace=len(known) < count).tolist()
            faces.append(to_network(known.clip.pictures(frames)))
            motion.append(known.motion[frames])
        return FaceBatch(torch.cat(faces), torch.cat(motion))


class Sequences:
    """Draws batches of sequences, each with a reference from other clips of its speaker, or from elsewhere in its own.

    All at 25 frames a second.  A clip is heard once, by `hear` -> [v, t, h], in one version or in several of which
    each sequence and each part of a reference gets any, and kept as float16.
    """

    def __init__(
        self,
        clips: Sequence[LabelledClip],
        hear: Callable[[LabelledClip], Tensor],
        config: SequenceData,
        *,
        batch: int,
        seed: int,
    ) -> None:
        least = config.frames + GAP + config.least
        amounts = Counter[str]()
        for clip in clips:
            amounts[clip.speaker] += len(clip.moves)
        self.clips = [clip for clip in clips if len(clip.moves) >= config.frames and amounts[clip.speaker] >= least]
        if not self.clips:
            raise NoData(f"no speaker has the {least} frames of a sequence and a reference; prepare more clips")
        self.config, self.batch, self.seed, self._hear = config, batch, seed, hear
        self.weights = _balanced(self.clips, config.balance)
        self._heard: dict[int, Tensor] = {}
        self.all = list(clips)
        self._of_speaker = defaultdict(list)
        for number, clip in enumerate(clips):
            self._of_speaker[clip.speaker].append(number)
        self._number = {id(clip): number for number, clip in enumerate(clips)}

    def __getitem__(self, step: int) -> SequenceBatch:
        rng = np.random.default_rng([self.seed, step, VERSIONS])
        return stacked([self._filled(*plan, rng) for plan in self.plans(step)])

    def plans(self, step: int) -> list[tuple[Part, list[Part]]]:
        """What a step draws: of each sequence its own part of a clip, and those of its reference."""
        rng = np.random.default_rng([self.seed, step])
        chosen = rng.choice(len(self.clips), self.batch, p=self.weights)
        return [self._planned(self._number[id(self.clips[number])], rng) for number in chosen]

    def _planned(self, number: int, rng: Generator) -> tuple[Part, list[Part]]:
        start = int(rng.integers(len(self.all[number].moves) - self.config.frames + 1))
        own = slice(start, start + self.config.frames)
        return (number, own), self._reference(number, own, rng)

    def _filled(self, own: Part, parts: list[Part], rng: Generator) -> SequenceBatch:
        heard, *others = (self.heard(number, rng)[part] for number, part in (own, *parts))
        return sequence(self.all, own, parts, heard, torch.cat(others))

    def _reference(self, number: int, own: slice, rng: Generator) -> list[Part]:
        """Stretches of the speaker's clips in a random order, as many frames as drawn or as there are."""
        wanted = int(rng.integers(self.config.least, self.config.most + 1))
        stretches = []
        for other in self._of_speaker[self.all[number].speaker]:
            whole = [(0, len(self.all[other].moves))]
            if other == number:
                whole = [(0, own.start - GAP), (own.stop + GAP, len(self.all[other].moves))]
            stretches += [(other, first, last) for first, last in whole if last > first]
        parts = []
        for place in rng.permutation(len(stretches)):
            other, first, last = stretches[place]
            length = min(last - first, self.config.stretch, wanted)
            begin = int(rng.integers(first, last - length + 1))
            parts.append((other, slice(begin, begin + length)))
            wanted -= length
            if not wanted:
                break
        return parts

    def heard(self, number: int, rng: Generator) -> Tensor:
        """[t, h] of a version of a clip, by its number among all; computed in one piece, so always the same."""
        if number not in self._heard:
            self._heard[number] = self._hear(self.all[number]).half().cpu()
        versions = self._heard[number]
        return versions[rng.integers(len(versions)) if len(versions) > 1 else 0].float()


def sequence(
    clips: Sequence[LabelledClip], own: Part, parts: Sequence[Part], heard: Tensor, reference_heard: Tensor
) -> SequenceBatch:
    """One sequence, its motion from the clips: heard [t, ...], reference_heard [r, ...]."""
    motion = torch.cat([clips[other].moves[part] for other, part in parts])
    return SequenceBatch(
        heard[None], clips[own[0]].moves[own[1]][None],
        reference_heard[None], motion[None], torch.ones(1, len(motion), dtype=torch.bool),
    )  # fmt: skip


def stacked(items: Sequence[SequenceBatch]) -> SequenceBatch:
    """One batch of many with equally many frames; shorter references get empty frames behind."""
    longest = max(item.reference_mask.shape[1] for item in items)

    def joined(name: str) -> Tensor:
        values = [getattr(item, name) for item in items]
        if not name.startswith("reference"):
            return torch.cat(values)
        empty = [value.new_zeros(1, longest - value.shape[1], *value.shape[2:]) for value in values]
        return torch.cat([torch.cat(pair, dim=1) for pair in zip(values, empty, strict=True)])

    return SequenceBatch(**{field.name: joined(field.name) for field in fields(SequenceBatch)})


def _balanced(clips: Sequence[LabelledClip], balance: float) -> np.ndarray:
    return balanced([clip.speaker for clip in clips], [len(clip) for clip in clips], balance)
