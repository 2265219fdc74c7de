"""Stage 1 as one checkpoint, kind `motion`: the space of lip motion, who reads it, who predicts it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from audio import Sound
from audio.whisper import WhisperEncoder

from ..model import Model
from ..sound import SoundEncoder
from ..stage1 import Heard, StyleReference
from .lip_motion import MotionSpace
from .live import LiveMotion
from .motion import MotionPredictor, PredictorConfig
from .neutral import NeutralGuess
from .reader import MotionReader, ReaderConfig

CHUNK = 64  # faces read at a time


@dataclass(frozen=True)
class LipMotionConfig:
    """size: of the faces; motion_dim: numbers of a frame's motion; neutral_guess: whether it is known how clips differ
    (scripts/fit_neutral.py).  All our choice.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"numbers": "motion_dim"}

    size: int = 128
    motion_dim: int = 16
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    neutral_guess: bool = False


class LipMotion(Model):
    """What knows lip motion: `space`, `reader`, `predictor`."""

    config: LipMotionConfig

    def __init__(self, config: LipMotionConfig) -> None:
        super().__init__()
        self.config = config
        self.space = MotionSpace(config.motion_dim)
        self.reader = MotionReader(config.reader, config.size, config.motion_dim)
        self.predictor = MotionPredictor(config.predictor, config.motion_dim)
        self.neutral_guess = NeutralGuess(config.motion_dim) if config.neutral_guess else None

    @property
    def size(self) -> int:
        return self.config.size

    @property
    def sound_encoder(self) -> SoundEncoder | WhisperEncoder:
        return self.predictor.sound_encoder

    @torch.inference_mode()
    def read(self, faces: Tensor) -> Tensor:
        """The motion of faces [n, 3, s, s] in [-1, 1], some at a time.  [n, d]"""
        return torch.cat([self.reader(part) for part in torch.split(faces, CHUNK)])

    def neutral_of(self, motion: Tensor) -> Tensor:
        """Which mouth the lips of a clip move around of which one frame [..., d] is known.  [..., d]"""
        guess: Tensor = self.space.neutral_of(motion) if self.neutral_guess is None else self.neutral_guess(motion)
        return guess

    def hear(self, sound: Sound, shown: Sequence[range]) -> Heard:
        """A sound as the predictor hears it; only frames of these ranges, at 25 a second, will be asked for."""
        return self.predictor.hear(sound, shown)

    def reference(self, faces: Tensor, heard: Tensor) -> StyleReference:
        """The style of faces [n, 3, s, s] heard with [n, h].  Raises BadInput if they are too few."""
        return StyleReference(heard, self.read(faces))

    def reference_of(self, heard: Tensor, motion: Tensor) -> StyleReference:
        """The style of motion [n, d] that was read already, heard with [n, h].  Raises BadInput likewise."""
        return StyleReference(heard, motion)

    def live(
        self,
        reference: StyleReference | None,
        strength: float,
        neutral: Tensor | None,
        lookahead: float | None,
        audio_strength: float = 1.0,
    ) -> LiveMotion:
        """Predicts from a sound as it comes; the arguments as of `predict`, and of LiveMotion."""
        manner = self.predictor.style_context(reference, strength, neutral, audio_strength)
        return LiveMotion(self.predictor, manner, lookahead)
