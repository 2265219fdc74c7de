"""How training of stage 1 goes, measured on held-out clips."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from guided_diffusion.engine.device import autocast
from guided_diffusion.engine.trainer import Evaluation

from ..metrics import correlation
from ..validation import by_split
from .labels import LabelledClip
from .lip_motion import MotionSpace
from .motion import around_neutral
from .motion_model import LipMotion, LipMotionConfig
from .sequences import FaceBatch, FaceData, Faces, SequenceBatch, SequenceData, Sequences
from .sound_sequences import SoundBatch, SoundSequences, mels_of
from .sound_variation import SoundVariation, varied

COUNT = 128  # faces or sequences of each split
SEED = 1     # of which ones


@torch.inference_mode()
def reading(model: LipMotion, batch: FaceBatch) -> Mapping[str, float]:
    """How far read points are from the real ones, per cent of the distance between the eyes; the same for the mean of
    the training clips; how well openings correlate."""
    read = model.read(batch.faces)
    return {
        "distance": _percent(model.space, read, batch.motion),
        "distance_of_mean": _percent(model.space, torch.zeros_like(read), batch.motion),
        "opening_r": _opening_r(model.space, read, batch.motion),
    }


@torch.inference_mode()
def predicting(model: LipMotion, batch: SequenceBatch | SoundBatch) -> Mapping[str, float]:
    """How far predicted points are from the real ones, per cent of the distance between the eyes.

    Around the neutral mouth of the own reference: moved as it moves, as another sequence's moves, as nobody in
    particular, and not at all.
    """
    if isinstance(batch, SoundBatch):
        batch = batch.heard_by(model.predictor.sound_encoder)
    movement, neutral = around_neutral(batch.reference_motion, batch.reference_mask)
    half = len(movement) // 2

    def made(heard: Tensor, moves: Tensor, mask: Tensor) -> Tensor:
        return neutral[:, None] + model.predictor.movement(batch.heard, heard, moves, mask).movement

    mask = batch.reference_mask
    own = made(batch.reference_heard, movement, mask)
    other = made(batch.reference_heard.roll(half, 0), movement.roll(half, 0), mask.roll(half, 0))
    nobody = made(batch.reference_heard, torch.zeros_like(movement), torch.zeros_like(mask))
    return {
        "own": _percent(model.space, own, batch.motion),
        "other": _percent(model.space, other, batch.motion),
        "nobody": _percent(model.space, nobody, batch.motion),
        "still": _percent(model.space, neutral[:, None].expand_as(own), batch.motion),
        "opening_r": _opening_r(model.space, own, batch.motion),
    }


def _opening_r(space: MotionSpace, one: Tensor, other: Tensor) -> float:
    """Pearson's, over all frames; 0 if one of them does not change."""
    return correlation(space.opening(one).cpu(), space.opening(other).cpu()) or 0.0


def _percent(space: MotionSpace, one: Tensor, other: Tensor) -> float:
    return 100 * float(space.distance(one, other).mean())


class MotionEvaluate:
    """(step, EMA weights) -> figures of the reader, or of the predictor, on each held-out split of those given."""

    def __init__(
        self,
        config: LipMotionConfig,
        start: LipMotion,
        data: FaceData | SequenceData,
        splits: Mapping[str, Sequence[LabelledClip]],
        device: torch.device,
        precision: torch.dtype = torch.float32,
        hears_anew: bool = False,
    ) -> None:
        self.model = LipMotion(config).to(device).eval().requires_grad_(False)
        self.batches = by_split(
            splits, lambda clips: motion_samples(start, data, clips, COUNT, SEED, precision, hears_anew)[0].to(device)
        )

    def __call__(self, step: int, weights: dict[str, Tensor]) -> Evaluation:
        self.model.load_state_dict(weights)
        return Evaluation({
            f"{split}/{name}": value
            for split, batch in self.batches.items()
            for name, value in _figures(self.model, batch).items()
        })  # fmt: skip


def _figures(model: LipMotion, batch: FaceBatch | SequenceBatch | SoundBatch) -> Mapping[str, float]:
    return reading(model, batch) if isinstance(batch, FaceBatch) else predicting(model, batch)


def motion_samples(
    model: LipMotion,
    data: FaceData | SequenceData,
    clips: Sequence[LabelledClip],
    batch: int,
    seed: int,
    precision: torch.dtype = torch.float32,
    hears_anew: bool = False,
    sound: SoundVariation | None = None,
) -> Faces | Sequences | SoundSequences:
    """What the reader or the predictor learns from, [step] -> a batch.

    precision   in which the predictor hears every clip, once
    sound       of which versions are heard besides
    hears_anew  what is heard depends on the step: the batches hold the sound itself
    """
    if isinstance(data, FaceData):
        return Faces(clips, data, batch=batch, seed=seed)
    if hears_anew:
        return SoundSequences(clips, data, batch=batch, seed=seed)
    hear = hearing(model, precision)
    if not sound or not sound.versions:
        return Sequences(clips, lambda clip: hear(clip)[None], data, batch=batch, seed=seed)
    numbers = {id(clip): number for number, clip in enumerate(clips)}

    def versions(clip: LabelledClip) -> Tensor:
        generator = torch.Generator().manual_seed(numbers[id(clip)])
        return torch.cat([hear(clip)[None], heard_varied(model, clip, sound, precision, generator)])

    return Sequences(clips, versions, data, batch=batch, seed=seed)


def hearing(model: LipMotion, precision: torch.dtype) -> Callable[[LabelledClip], Tensor]:
    """What a model hears of a clip at 25 frames a second, [t, h]."""

    def hear(clip: LabelledClip) -> Tensor:
        frames = len(clip.moves)
        with autocast(model.predictor.nobody_motion.device, precision):
            return model.predictor.hear(clip.sound, [range(frames)])(0, frames)

    return hear


@torch.inference_mode()
def heard_varied(
    model: LipMotion, clip: LabelledClip, sound: SoundVariation, precision: torch.dtype, generator: torch.Generator
) -> Tensor:
    """What Whisper's ears hear of so many versions of a clip, [v, t, h]; generator: on the CPU."""
    device, frames = model.predictor.nobody_motion.device, len(clip.moves)
    mels = mels_of(clip)
    heard = []
    for _ in range(sound.versions):
        with autocast(device, precision):
            features = model.predictor.sound_encoder(varied(mels, sound, generator).to(device)).flatten(0, 1)
        heard.append(features[torch.arange(frames, device=device).clamp(max=len(features) - 1)].float())
    return torch.stack(heard)
