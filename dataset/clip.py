"""What training clips are made of, aligned by construction."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio import ROW, FilterBanks, Mel


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
    """What a network must be shown besides faces, references and mel.

    before  the frame before each: in training the real one, in generation the one that was just made
    rows    of filter banks around each frame, which AV-HuBERT hears; 0 for none
    """

    before: bool = False
    rows: int = 0


@dataclass(frozen=True)
class ClipBatch:
    """b sequences of t consecutive frames with their sound.  RGB in [-1, 1], mel in [-4, 4], float32.

    faces      [b, t, 3, s, s]
    reference  [b, t, 3, s, s]  for each frame, another one of the same face
    mel        [b, t, 80, 16]   the window of each frame, as `Mel.windows` opens it
    speech     [b, 80, 16]      what is heard with the sequence, as `Mel.span` opens it
    clip       [b] int64        sequences of one clip have the same number; None: each is of another
    before     [b, 3, s, s]     the frame before the first; None: there is none, or nobody needs it
    banks      [b, t, r, 104]   around each frame, as `FilterBanks.windows` gives them; None: nobody needs them
    """

    faces: Tensor
    reference: Tensor
    mel: Tensor
    speech: Tensor
    clip: Tensor | None = None
    before: Tensor | None = None
    banks: Tensor | None = None

    def __post_init__(self) -> None:
        b, t = self.faces.shape[:2]
        apart = self.mel.shape[:2] != (b, t) or len(self.speech) != b
        if apart or self.reference.shape != self.faces.shape or (self.clip is not None and self.clip.shape != (b,)):
            raise ValueError(
                f"faces {tuple(self.faces.shape)}, reference {tuple(self.reference.shape)}, mel {tuple(self.mel.shape)}"
                f" and speech {tuple(self.speech.shape)} do not belong together"
            )
        if self.before is not None and self.before.shape != (b, *self.faces.shape[2:]):
            raise ValueError(f"a frame {tuple(self.before.shape)} is not before faces {tuple(self.faces.shape)}")
        if self.banks is not None and (self.banks.shape[:2] != (b, t) or self.banks.shape[3:] != (ROW,)):
            raise ValueError(f"banks {tuple(self.banks.shape)} are not of faces {tuple(self.faces.shape)}")

    def frame(self, k: int, before: Tensor | None) -> "ClipBatch":
        """Frame k of each sequence, after the frames `before` [b, 3, s, s]."""
        at = slice(k, k + 1)
        banks = None if self.banks is None else self.banks[:, at]
        return ClipBatch(
            self.faces[:, at], self.reference[:, at], self.mel[:, at], self.speech, self.clip, before, banks
        )

    def rows(self, chosen: Tensor | slice) -> "ClipBatch":
        """Some of the sequences: by number, by a mask [b] bool, or a slice of them."""

        def picked(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[chosen]

        return ClipBatch(
            self.faces[chosen], self.reference[chosen], self.mel[chosen], self.speech[chosen],
            picked(self.clip), picked(self.before), picked(self.banks),
        )  # fmt: skip

    def to(self, device: torch.device | str) -> "ClipBatch":
        def moved(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device, non_blocking=True)

        return ClipBatch(
            self.faces.to(device, non_blocking=True),
            self.reference.to(device, non_blocking=True),
            self.mel.to(device, non_blocking=True),
            self.speech.to(device, non_blocking=True),
            moved(self.clip),
            moved(self.before),
            moved(self.banks),
        )


def to_network(pictures: NDArray[np.uint8]) -> Tensor:
    """u8 [..., h, w, 3] in [0, 255] -> float32 [..., 3, h, w] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pictures, -1, -3))).float() / 127.5 - 1


def to_pictures(values: Tensor) -> NDArray[np.uint8]:
    """The inverse of `to_network`, rounded: [..., 3, h, w] in [-1, 1] -> u8 [..., h, w, 3]."""
    scaled = ((values.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(np.moveaxis(scaled.cpu().numpy(), -3, -1))
