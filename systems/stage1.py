"""What says how lips move, whoever made it: the first of two stages, whose motion a renderer is told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from audio import LiveSound, Sound
from core.errors import NoData

Heard = Callable[[int, int], Tensor]
"""Frames first..stop-1, at 25 a second -> what is heard with them [n, h], float32; after the sound comes silence."""

LEAST = 10  # frames of a style reference


@dataclass(frozen=True)
class StyleReference:
    """How somebody speaks: what is heard and what the lips do, frame by frame; clips may lie one after another.

    heard f32 [r, h], as the predictor that is to imitate it hears; motion f32 [r, d].
    Raises BadInput if there are fewer than 10 frames.
    """

    heard: Tensor
    motion: Tensor

    def __post_init__(self) -> None:
        if len(self.heard) != len(self.motion) or self.heard.ndim != 2 or self.motion.ndim != 2:
            raise ValueError(f"heard {tuple(self.heard.shape)} and motion {tuple(self.motion.shape)} are not of a kind")
        if len(self.motion) < LEAST:
            raise NoData(
                f"a style reference of {len(self.motion)} frames says nothing of a manner of speaking; give {LEAST} or"
                " more, better some seconds"
            )

    @property
    def neutral(self) -> Tensor:
        """The mean motion [d]: the shape of this mouth, whatever it says."""
        return self.motion.mean(dim=0)


class LipSpace(Protocol):
    """What the numbers of a motion mean, in distances between the eyes."""

    @property
    def numbers(self) -> int: ...

    def motion(self, landmarks: Tensor) -> Tensor:
        """Landmarks of mouth and jaw [..., p, 2], seen from the front -> [..., d]."""
        ...

    def opening(self, motion: Tensor) -> Tensor:
        """The gap between the lips: [..., d] -> [...]."""
        ...

    def distance(self, motion: Tensor, other: Tensor) -> Tensor:
        """How far the points are apart in the mean: [..., d] twice -> [...]."""
        ...


class Predictor(Protocol):
    """Predicts motion from what is heard."""

    def predict(
        self,
        heard: Tensor,
        reference: StyleReference | None,
        strength: float = 1.0,
        neutral: Tensor | None = None,
        audio_strength: float = 1.0,
    ) -> Tensor:
        """heard [t, h] -> motion [t, d]; strength 1 moves as the reference does, 0 as nobody in particular;
        neutral [d]: of the mouth that is to move so, None: the reference's; audio_strength 1 moves as far around it as
        was learned, 0 not at all, 1.5 half as far again."""
        ...


class Stage1Config(Protocol):
    """motion_dim: numbers of a frame's motion."""

    @property
    def motion_dim(self) -> int: ...


class Stage1(Protocol):
    """Reads how the lips of faces move, and predicts it from sound in the style of a reference.

    Motion is float32 [n, d]: d numbers a frame, in the units of `space`.
    """

    @property
    def config(self) -> Stage1Config: ...

    @property
    def space(self) -> LipSpace: ...

    @property
    def reader(self) -> nn.Module:
        """Faces [n, 3, s, s] -> motion [n, d], differentiable."""
        ...

    @property
    def predictor(self) -> Predictor: ...

    @property
    def sound_encoder(self) -> nn.Module:
        """What the predictor listens with."""
        ...

    @property
    def size(self) -> int:
        """The side of the faces that it reads, pixels."""
        ...

    def read(self, faces: Tensor) -> Tensor:
        """faces [n, 3, s, s] RGB in [-1, 1] -> motion [n, d]."""
        ...

    def neutral_of(self, motion: Tensor) -> Tensor:
        """Which mouth the lips of a clip move around of which one frame is known.  [..., d] -> [..., d]"""
        ...

    def hear(self, sound: Sound, shown: Sequence[range]) -> Heard:
        """A sound as the predictor hears it; only frames of these ranges, at 25 a second, will be asked for."""
        ...

    def reference(self, faces: Tensor, heard: Tensor) -> StyleReference:
        """The style of faces [n, 3, s, s] heard with [n, h].  Raises BadInput if they are too few."""
        ...

    def reference_of(self, heard: Tensor, motion: Tensor) -> StyleReference:
        """The style of motion [n, d] that was read already, heard with [n, h].  Raises BadInput likewise."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def to(self, device: torch.device) -> Self: ...

    def live(
        self,
        reference: StyleReference | None,
        strength: float,
        neutral: Tensor | None,
        lookahead: float | None,
        audio_strength: float = 1.0,
    ) -> "LiveMotion":
        """Predicts from a sound as it comes; all but lookahead as the predictor's `predict` takes it.

        lookahead: seconds of sound that are waited for beyond a frame; None: what is a good compromise.  Raises
        BadInput if they are too few.
        """
        ...


class LiveMotion(Protocol):
    """Lip motion of one sound as it comes, a few frames at 25 a second at a time, one after another."""

    def samples(self, frame: int) -> int:
        """How many samples must be there for this frame."""
        ...

    def skip(self, frame: int) -> int:
        """Goes on with the first frame that is told together with this one, which was not told yet; which that is."""
        ...

    def __call__(self, sound: LiveSound) -> Tensor:
        """The next frames [n, d].  The samples of the first must be there, or the sound have ended."""
        ...
