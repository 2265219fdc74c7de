"""A pack: face crops with labels in pieces that each fit a limit, so that they can be carried to a machine with a GPU.

    PACK/piece-000/SPLIT/SPEAKER/NAME.mp4   a face crop as VoxCeleb2 is published, with its own sound
    PACK/piece-000/SPLIT/SPEAKER/NAME.npz   points i16 [t, 9, 2] in 1/32 pixel (face_detection/alignment.py),
                                            motion f16 [t, d] and opening f16 [t] of the lips (systems/style)
    PACK/motion_space.npz                   the space that the motion is in
    PACK/sound_offsets.csv                  how late the sound of a clip comes, if that was measured

`scripts/pack_training.py` writes it, and `scripts/find_sound_offsets.py` the last file.  Every piece is a sample of the
whole, so some of them will do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audio import SAMPLE_RATE, FilterBanks, Mel, advanced, read_filterbanks, read_mel, sound_blocks
from core.atomic import atomic
from core.errors import Mismatch, Unreadable
from core.npz import UNREADABLE
from core.rows import read_rows
from face_detection import Box, cut, voxceleb2_box
from face_detection.alignment import POINTS, aligned_box, aligned_boxes, steadied
from video import pick_frames, probe

from .splits import SPLITS

Framing = Literal["box", "aligned"]
"""How faces are cut: by VoxCeleb2's fixed margins, or upright and in one pose."""

SOUND_OFFSETS = "sound_offsets.csv"  # in the pack; columns clip (`clip_name`) and late (seconds), and how sure that is
FURTHEST = 10  # seconds: a sound that is further off is not this clip's
UNIT = 32  # of a pixel: what the numbers of `points` count


@dataclass(frozen=True)
class Labels:
    """points f32 [t, 9, 2] pixels of the crop; motion f32 [t, d]; opening f32 [t], in distances between the eyes."""

    points: NDArray[np.float32]
    motion: NDArray[np.float32]
    opening: NDArray[np.float32]

    def __post_init__(self) -> None:
        frames = len(self.points)
        if self.points.shape != (frames, len(POINTS), 2) or self.motion.ndim != 2 or self.opening.ndim != 1:
            raise ValueError(f"points are [t, {len(POINTS)}, 2], motion [t, d], opening [t]")
        if not frames or len(self.motion) != frames or len(self.opening) != frames:
            raise ValueError("labels are of the same frames, one or more")

    def save(self, path: Path) -> None:
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                points=np.rint(self.points * UNIT).astype(np.int16),
                motion=self.motion.astype(np.float16),
                opening=self.opening.astype(np.float16),
            )

    @classmethod
    def load(cls, path: Path) -> "Labels":
        """Raises BadInput if the file holds none."""
        try:
            with np.load(path, allow_pickle=False) as file:
                points, motion, opening = (file[name].astype(np.float32) for name in ("points", "motion", "opening"))
            return cls(points / UNIT, motion, opening)
        except UNREADABLE as problem:
            raise Unreadable(f"{path}: not labels of a pack ({problem}); pack the clips again") from problem


@dataclass(frozen=True)
class PackClip:
    """Footage of a pack.  size: of its faces, pixels; margin: how much more than the face is shown, as a share of it;
    late: by how many seconds its sound comes late (below 0: early), which is set right in all that is heard of it.

    Raises BadInput, when asked for what is in the files, if they cannot be read or do not belong together.
    """

    path: Path
    speaker: str
    size: int
    framing: Framing = "box"
    margin: float = 0.0
    late: float = 0.0

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def labels(self) -> Labels:
        return Labels.load(self.path.with_suffix(".npz"))

    @property
    def amount(self) -> int:
        return len(self.labels.points)

    def __len__(self) -> int:
        return self.amount

    @cached_property
    def fps(self) -> Fraction:
        return probe(self.path).fps

    @cached_property
    def mel(self) -> Mel:
        mel = read_mel(self.path)
        return mel if not self.late else mel.excerpt(Fraction(self.late), self._seconds)

    @cached_property
    def banks(self) -> FilterBanks:
        banks = read_filterbanks(self.path)
        return banks if not self.late else banks.excerpt(Fraction(self.late), self._seconds)

    def samples(self) -> Iterator[NDArray[np.float32]]:
        """What is heard, f32 blocks at 16 kHz."""
        return advanced(sound_blocks(self.path), round(self.late * SAMPLE_RATE))

    @property
    def _seconds(self) -> Fraction:
        return len(self) / self.fps

    @property
    def shown(self) -> int:
        """The side of its pictures, pixels: a face of `size` with its margin."""
        return round(self.size * (1 + self.margin))

    def pictures(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """u8 [len(numbers), shown, shown, 3] RGB, in any order."""
        wanted = sorted(set(numbers))
        boxes = self._boxes
        if not 0 <= wanted[0] <= wanted[-1] < len(boxes):
            raise IndexError(f"{self.path} has frames 0..{len(boxes) - 1}, not {wanted[0]}..{wanted[-1]}")
        try:
            frames = pick_frames(self.path, wanted)
            cuts = {
                number: cut(frame, boxes[number].grown(1 + self.margin), self.shown)
                for number, frame in zip(wanted, frames, strict=True)
            }
        except ValueError as problem:
            raise Mismatch(
                f"{self.path}: its labels are of other frames ({problem}); pack the clips again"
            ) from problem
        return np.stack([cuts[number] for number in numbers])

    @cached_property
    def _boxes(self) -> list[Box]:
        if self.framing == "box":
            info = probe(self.path)
            return [voxceleb2_box(info.height, info.width)] * self.amount
        rows = steadied(aligned_boxes(self.labels.points), float(self.fps / 25))
        return [aligned_box(row) for row in rows]


def is_pack(folder: Path) -> bool:
    """Whether a folder is a pack, or some pieces of one."""
    return any(next(folder.glob(f"piece-*/{split}/*/*.mp4"), None) for split in SPLITS)


def packed(folder: Path, size: int, framing: Framing) -> dict[str, list[PackClip]]:
    """The clips of each split, in an order that does not depend on the pieces.  BadInput if its offsets are none."""
    late = load_offsets(folder)
    splits: dict[str, list[PackClip]] = {}
    for split in SPLITS:
        paths = sorted(folder.glob(f"piece-*/{split}/*/*.mp4"), key=lambda path: path.parts[-2:])
        splits[split] = [
            PackClip(path, path.parent.name, size, framing, late=late.get(clip_name(path), 0.0)) for path in paths
        ]
    return splits


def clip_name(path: Path) -> str:
    """What a clip of a pack is called in a list of them: SPLIT/SPEAKER/NAME."""
    return "/".join(path.with_suffix("").parts[-3:])


def load_offsets(folder: Path) -> dict[str, float]:
    """By how many seconds the sound of clips comes late, by their `clip_name`; empty if that was never measured."""
    path = folder / SOUND_OFFSETS
    if not path.exists():
        return {}
    try:
        late = {row["clip"]: float(row["late"]) for _, row in read_rows(path)}
        if unfit := next((name for name, seconds in late.items() if not abs(seconds) < FURTHEST), None):
            raise ValueError(f"{unfit} is not late by less than {FURTHEST} s")
        return late
    except (KeyError, ValueError) as problem:
        raise Unreadable(
            f"{path}: no list of clips and how late their sound is ({problem}); run scripts/find_sound_offsets.py again"
        ) from problem
