"""What training clips are made of, aligned by construction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio import FilterBanks, Mel

from .conditions import MEL, AudioCondition


@dataclass(frozen=True)
class Clip:
    """Footage in memory.  faces u8 [t, s, s, 3] RGB, cut and resized; mel of the whole clip; fps exact.

    banks: of the same sound, which only AV-HuBERT needs; None if nobody made them.
    """

    name: str
    speaker: str
    faces: NDArray[np.uint8]
    mel: Mel
    fps: Fraction
    banks: FilterBanks | None = None

    def __post_init__(self) -> None:
        if self.faces.ndim != 4 or self.faces.shape[3] != 3 or self.faces.dtype != np.uint8 or not len(self.faces):
            raise ValueError(f"{self.name}: faces must be u8 [t, s, s, 3], not {self.faces.dtype} {self.faces.shape}")

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def amount(self) -> int:
        return len(self.faces)

    def pictures(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """u8 [len(numbers), s, s, 3] RGB"""
        return self.faces[list(numbers)]


@dataclass(frozen=True)
class Needs:
    """What a network must be shown besides faces and a reference.

    audio       what it hears around each frame; () for what is told motion instead
    before      frames before each: in training the real ones, in generation those that were just made
    motion      numbers that say what the lips do, which in training are read from the faces; 0 for none
    references  frames of the same face for each frame
    ordered     several references begin with the one whose mouth is open widest
    """

    audio: tuple[AudioCondition, ...] = (MEL,)
    before: int = 0
    motion: int = 0
    references: int = 1
    ordered: bool = False

    def __post_init__(self) -> None:
        if min(self.before, self.motion) < 0 or self.references < 1:
            raise ValueError("before and motion are 0 or more, a network sees 1 or more references")

    @property
    def filterbanks(self) -> bool:
        """Whether anything that it hears is made of filter banks."""
        return any(condition.filterbanks for condition in self.audio)


@dataclass(frozen=True)
class ClipBatch:
    """b sequences of t consecutive frames with their sound.  RGB in [-1, 1], mel in [-4, 4], float32.

    faces      [b, t, 3, s, s]
    reference  [b, t, 3, s, s]  for each frame, another one of the same face
    audio      name -> [b, t, ...]  what is heard around each frame, by the conditions of `Needs.audio`
    speech     [b, 80, 16]      what is heard with the sequence, as `Mel.span` opens it
    clip       [b] int64        sequences of one clip have the same number; None: each is of another
    before     [b, m, 3, s, s]  the frames before the first, in their order; None: there are none, or nobody needs them
    motion     [b, t, d]        what the lips are to do; None: nobody needs it
    references [b, t, k, 3, s, s]  several instead of one, `reference` among them; None: one is enough
    """

    faces: Tensor
    reference: Tensor
    audio: Mapping[str, Tensor]
    speech: Tensor
    clip: Tensor | None = None
    before: Tensor | None = None
    motion: Tensor | None = None
    references: Tensor | None = None

    def __post_init__(self) -> None:
        b, t = self.faces.shape[:2]
        shapes = {name: tuple(value.shape) for name, value in self.audio.items()}
        apart = any(shape[:2] != (b, t) for shape in shapes.values()) or len(self.speech) != b
        if apart or self.reference.shape != self.faces.shape or (self.clip is not None and self.clip.shape != (b,)):
            raise ValueError(
                f"faces {tuple(self.faces.shape)}, reference {tuple(self.reference.shape)}, audio {shapes}"
                f" and speech {tuple(self.speech.shape)} do not belong together"
            )
        past = self.before
        if past is not None and (len(past), *past.shape[2:]) != (b, *self.faces.shape[2:]):
            raise ValueError(f"frames {tuple(past.shape)} are not before faces {tuple(self.faces.shape)}")
        if self.motion is not None and self.motion.shape[:2] != (b, t):
            raise ValueError(f"motion {tuple(self.motion.shape)} is not of faces {tuple(self.faces.shape)}")
        several = self.references
        if several is not None and (*several.shape[:2], *several.shape[3:]) != self.faces.shape:
            raise ValueError(f"references {tuple(several.shape)} are not of faces {tuple(self.faces.shape)}")

    @property
    def mel(self) -> Tensor:
        """[b, t, 80, 16], where it is heard."""
        return self.audio["mel"]

    def with_audio(self, **audio: Tensor) -> "ClipBatch":
        """The same sequences with other sound."""
        return replace(self, audio={**self.audio, **audio})

    def frame(self, k: int, before: Tensor | None) -> "ClipBatch":
        """Frame k of each sequence, after the frames `before` [b, m, 3, s, s]."""
        at = slice(k, k + 1)
        by_frame = ("faces", "reference", "motion", "references")
        there = {name: value[:, at] for name in by_frame if (value := getattr(self, name)) is not None}
        audio = {name: value[:, at] for name, value in self.audio.items()}
        return replace(self, **there, audio=audio, before=before)

    def rows(self, chosen: Tensor | slice) -> "ClipBatch":
        """Some of the sequences: by number, by a mask [b] bool, or a slice of them."""
        return self._each(lambda value: value[chosen])

    def to(self, device: torch.device | str) -> "ClipBatch":
        return self._each(lambda value: value.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "ClipBatch":
        """Every tensor that there is, changed."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "audio"}
        changed = {name: change(value) for name, value in values.items() if value is not None}
        return replace(self, **changed, audio={name: change(value) for name, value in self.audio.items()})


def to_network(pictures: NDArray[np.uint8]) -> Tensor:
    """u8 [..., h, w, 3] in [0, 255] -> float32 [..., 3, h, w] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pictures, -1, -3))).float() / 127.5 - 1


def to_pictures(values: Tensor) -> NDArray[np.uint8]:
    """The inverse of `to_network`, rounded: [..., 3, h, w] in [-1, 1] -> u8 [..., h, w, 3]."""
    scaled = ((values.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(np.moveaxis(scaled.cpu().numpy(), -3, -1))
