"""How stage 1 is trained: the reader on faces and their motion, then the predictor on sounds and references."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from guided_diffusion.engine.train_step import Tuning

from .lip_motion import SHUT, MotionSpace
from .motion import Predicted, around_neutral
from .motion_model import LipMotion
from .sequences import FaceBatch, SequenceBatch
from .sound_sequences import SoundBatch
from .sound_variation import SoundVariation, varied


@dataclass(frozen=True)
class ReadingObjective:
    """The weights of the reader's terms, and how its faces are varied.  All our choice.

    position  L1 of the numbers, each counting by how far it moves the points
    opening   L1 of the gap between the lips, in deviations
    zoom, shift, turn  faces are shown up to this share smaller or larger, moved by up to this share of the side, turned
              by up to so many degrees: motion is the same
    contrast, brightness  by up to this share; this much of [-1, 1]
    """

    position: float = 1.0
    opening: float = 1.0
    zoom: float = 0.12
    shift: float = 0.06
    turn: float = 8.0
    contrast: float = 0.2
    brightness: float = 0.15


@dataclass(frozen=True)
class PredictingObjective:
    """The weights of the predictor's terms; that there is a velocity term beside position: papers of this kind.

    position  L1 of the numbers, each counting by how far it moves the points
    velocity  L1 of their change from frame to frame
    opening   L1 of the gap between the lips, in deviations
    range     L1 between how much the numbers and the gap vary within a sequence, predicted and real: what is uncertain
              otherwise moves less than real lips do; it teaches the gain, if the predictor has one, and nothing else
    closed    L1 of how far the lips are open, in deviations, where real ones are closed
    null_style  share of the sequences that get of a reference only its neutral mouth, so that the model can do without
    audio_encoder_rate  the learning rate of Whisper's ears, times that of all else; 0: they stay as they are
    sound     how the sound is varied, for Whisper's ears
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"nobody": "null_style"}

    position: float = 1.0
    velocity: float = 1.0
    opening: float = 1.0
    range: float = 0.0
    closed: float = 0.0
    null_style: float = 0.2
    audio_encoder_rate: float = 0.0
    sound: SoundVariation = field(default_factory=SoundVariation)

    @property
    def hears_anew(self) -> bool:
        """Whether what is heard of a sound depends on the step."""
        return self.audio_encoder_rate > 0 or (bool(self.sound) and not self.sound.versions)

    def __post_init__(self) -> None:
        if self.audio_encoder_rate and self.sound.versions:
            raise ValueError("what hears each version once does not learn: audio_encoder_rate or sound.versions is 0")
        if self.audio_encoder_rate < 0:
            raise ValueError("audio_encoder_rate is 0 or more")
        if not 0 <= self.null_style <= 1:
            raise ValueError(f"null_style is a share from 0 to 1, not {self.null_style}")


class ReaderTraining(nn.Module):
    """A LipMotion as a Trainable of its reader."""

    def __init__(self, model: LipMotion, config: ReadingObjective) -> None:
        super().__init__()
        self.model, self.config = model, config

    def objectives(self) -> dict[str, list[nn.Parameter]]:
        return {"reader": list(self.model.reader.parameters())}

    def losses(self, batch: FaceBatch, generator: Generator) -> Mapping[str, Mapping[str, Tensor]]:
        faces, motion = self._varied(batch, generator)
        error = self.model.reader(faces) - motion
        return {"reader": _position_terms(self.model.space, error, self.config)}

    def _varied(self, batch: FaceBatch, generator: Generator) -> tuple[Tensor, Tensor]:
        """Half of the faces mirrored, all of them moved a little and in another light."""
        c, n, device = self.config, len(batch.faces), batch.faces.device
        draw = (torch.rand(7, n, generator=generator, device=generator.device) * 2 - 1).to(device)   # each in [-1, 1]
        mirrored = draw[0] < 0
        motion = torch.where(mirrored[:, None], self.model.space.mirrored(batch.motion), batch.motion)
        faces = torch.where(mirrored[:, None, None, None], batch.faces.flip(3), batch.faces)
        angle, scale = draw[1] * torch.pi * c.turn / 180, 1 + draw[2] * c.zoom
        across, along = scale * angle.cos(), scale * angle.sin()
        matrix = torch.stack([
            torch.stack([across, -along, 2 * c.shift * draw[3]], dim=1),
            torch.stack([along, across, 2 * c.shift * draw[4]], dim=1),
        ], dim=1)  # fmt: skip
        grid = F.affine_grid(matrix, list(faces.shape), align_corners=False)
        moved = F.grid_sample(faces, grid, padding_mode="border", align_corners=False)
        light = (1 + c.contrast * draw[5])[:, None, None, None], (c.brightness * draw[6])[:, None, None, None]
        return (moved * light[0] + light[1]).clamp(-1, 1), motion


class PredictorTraining(nn.Module):
    """A LipMotion as a Trainable of its predictor; reader and space stay as they are, and the audio encoder unless it
    has a learning rate."""

    def __init__(self, model: LipMotion, config: PredictingObjective) -> None:
        super().__init__()
        self.model, self.config = model, config

    def objectives(self) -> dict[str, list[nn.Parameter]]:
        predictor = self.model.predictor
        ears = set(predictor.sound_encoder.parameters())
        groups = {"predictor": [parameter for parameter in predictor.parameters() if parameter not in ears]}
        if self.config.audio_encoder_rate:
            groups["audio_encoder"] = list(predictor.sound_encoder.parameters())
        return groups

    def tuning(self) -> Mapping[str, Tuning]:
        rate = self.config.audio_encoder_rate
        return {"audio_encoder": Tuning(rate)} if rate else {}

    def losses(self, batch: SequenceBatch | SoundBatch, generator: Generator) -> Mapping[str, Mapping[str, Tensor]]:
        terms = self._terms(self._heard(batch, generator) if isinstance(batch, SoundBatch) else batch, generator)
        return {"predictor": terms} | ({"audio_encoder": {}} if self.config.audio_encoder_rate else {})

    def _heard(self, batch: SoundBatch, generator: Generator) -> SequenceBatch:
        """Through the ears as they are now, the sound varied."""
        mels = varied(batch.mels.float(), self.config.sound, generator)
        with torch.set_grad_enabled(self.config.audio_encoder_rate > 0):
            return batch.heard_by(self.model.predictor.sound_encoder, mels)

    def _terms(self, batch: SequenceBatch, generator: Generator) -> dict[str, Tensor]:
        b, device, space = len(batch.motion), batch.motion.device, self.model.space
        draw = torch.rand(2, b, generator=generator, device=generator.device).to(device)
        mirrored = torch.where(draw[0][:, None, None] < 0.5, space.signs, torch.ones_like(space.signs))
        target, reference = batch.motion * mirrored, batch.reference_motion * mirrored
        movement, neutral = around_neutral(reference, batch.reference_mask)
        known = batch.reference_mask & (draw[1] >= self.config.null_style)[:, None]
        shown = batch.heard, batch.reference_heard, movement * known[..., None], known
        made = self.model.predictor.movement(*shown)
        error = neutral[:, None] + made.mean - target
        terms = _position_terms(space, error, self.config)
        terms["velocity"] = self.config.velocity * (error.diff(dim=1) * space.reach).abs().mean()
        if self.config.range:
            terms["range"] = self.config.range * _range(space, self._widened(made, shown), target)
        if self.config.closed:
            shut = space.opening(target) < SHUT
            opened = space.opening(neutral[:, None] + made.mean * made.gain.detach())
            apart = (opened - SHUT).clamp(min=0) / space.gap.norm()
            terms["closed"] = self.config.closed * (apart * shut).mean()
        return terms

    def _widened(self, made: Predicted, shown: tuple[Tensor, ...]) -> Tensor:
        """What the range is judged by: a gain, if there is one, takes what it teaches alone, and widens what is
        predicted without dropout, as it will be."""
        predictor = self.model.predictor
        if predictor.gain is None:
            return made.movement
        training = predictor.training
        predictor.eval()
        made = predictor.movement(*shown)
        predictor.train(training)
        return made.mean.detach() * made.gain


def _range(space: MotionSpace, made: Tensor, target: Tensor) -> Tensor:
    """Of [b, t, d]: how far apart the deviations in time are, of the numbers and of the gap."""
    numbers = (_deviation(made) - _deviation(target)).abs() * space.reach
    gaps = (_deviation(made @ space.gap[:, None]) - _deviation(target @ space.gap[:, None])).abs() / space.gap.norm()
    total: Tensor = numbers.mean() + gaps.mean()
    return total


def _deviation(values: Tensor) -> Tensor:
    """[b, t, n] -> [b, n], of a finite slope where nothing changes"""
    return (values.var(dim=1) + 1e-4).sqrt()


def _position_terms(
    space: MotionSpace, error: Tensor, config: ReadingObjective | PredictingObjective
) -> dict[str, Tensor]:
    """error [..., d]: predicted - real."""
    return {
        "position": config.position * (error * space.reach).abs().mean(),
        "opening": config.opening * (error @ space.gap).abs().mean() / space.gap.norm(),
    }
