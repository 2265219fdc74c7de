"""The lip motion of clips on the disk, prepared (what scripts/fit_motion.py writes) or packed, as training reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audio import Sound
from core.atomic import atomic
from core.errors import Mismatch, NoData, Unreadable
from dataset import PackClip, PreparedClip
from dataset.corpus import sound_of
from dataset.pack import is_pack, packed
from dataset.prepared import prepared

from .lip_motion import POINTS, Landmarks, MotionSpace
from .motion import FPS

SPACE = "motion_space.npz"  # in the prepared folder
LOST = 0.1  # share of a clip's frames in which no face may have been found; their motion is that between the others


@dataclass(frozen=True)
class LabelledClip:
    """A clip of which the motion is known.  motion f32 [t, d], at the clip's own rate, on the CPU."""

    clip: PreparedClip | PackClip
    motion: Tensor

    @property
    def speaker(self) -> str:
        return self.clip.speaker

    def __len__(self) -> int:
        return len(self.motion)

    @cached_property
    def moves(self) -> Tensor:
        """The motion at 25 frames a second, between the two frames that are nearest in time.  f32 [u, d]"""
        places = torch.arange(int((len(self) - 1) / self.clip.fps * FPS) + 1) * float(self.clip.fps / FPS)
        low = places.long().clamp(max=len(self) - 1)
        high = (low + 1).clamp(max=len(self) - 1)
        return self.motion[low].lerp(self.motion[high], (places - low)[:, None])

    @property
    def sources(self) -> list[int]:
        """Which of its frames is seen at each of 25 a second."""
        return [min(int(k / FPS * self.clip.fps), len(self) - 1) for k in range(len(self.moves))]

    @property
    def sound(self) -> Sound:
        """What is heard in it; of prepared clips, the mel alone."""
        return sound_of(self.clip)


def landmarks_path(clip: Path) -> Path:
    """Beside SPLIT/SPEAKER/NAME.npz."""
    return clip.with_suffix(".landmarks.npy")


def save_landmarks(clip: Path, landmarks: Landmarks) -> None:
    """Writes the landmarks [t, p, 2] of a clip, whole or not at all."""
    with atomic(landmarks_path(clip)) as temporary, temporary.open("wb") as file:
        np.save(file, landmarks.astype(np.float32), allow_pickle=False)


def load_landmarks(clip: Path) -> Landmarks:
    """f32 [t, p, 2], NaN where no face was found.  Raises BadInput if they are none."""
    path = landmarks_path(clip)
    try:
        landmarks: Landmarks = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as problem:
        raise Unreadable(
            f"{path}: not landmarks ({problem}); delete it and run scripts/fit_motion.py again"
        ) from problem
    if landmarks.ndim != 3 or landmarks.shape[1:] != (len(POINTS), 2):
        raise Unreadable(f"{path}: holds {list(landmarks.shape)}; delete it and run scripts/fit_motion.py again")
    return landmarks


def labelled(data: Path, size: int, space: MotionSpace) -> Mapping[str, list[LabelledClip]]:
    """The clips of each split of a pack; or the prepared ones that have landmarks and a face nearly throughout.

    Raises BadInput if train has none.
    """
    if is_pack(data):
        packs = packed(data, size, "box").items()
        return {split: [_packed(clip, space) for clip in clips] for split, clips in packs if clips}
    splits = {
        split: [known for clip in clips if (known := _labelled(clip, space)) is not None]
        for split, clips in prepared(data, size).items()
    }
    if not splits["train"]:
        raise NoData(f"{data}: no clip of train has landmarks; find them with scripts/fit_motion.py")
    return {split: clips for split, clips in splits.items() if clips}


def _packed(clip: PackClip, space: MotionSpace) -> LabelledClip:
    motion = torch.from_numpy(clip.labels.motion)
    if motion.shape[1] != space.numbers or not motion.isfinite().all():
        raise Mismatch(
            f"{clip.path}: is labelled with {motion.shape[1]} numbers a frame, the model knows {space.numbers}; pack"
            " the clips again, with the model's own space"
        )
    return LabelledClip(clip, motion)


def _labelled(clip: PreparedClip, space: MotionSpace) -> LabelledClip | None:
    path = clip.entry.path
    if not landmarks_path(path).exists():
        return None
    landmarks = load_landmarks(path)
    if len(landmarks) != len(clip):
        raise Mismatch(
            f"{landmarks_path(path)}: is of {len(landmarks)} frames, the clip has {len(clip)};"
            " delete it and run scripts/fit_motion.py again"
        )
    known = np.isfinite(landmarks).all(axis=(1, 2))
    if known.mean() < 1 - LOST:
        return None
    motion = space.motion(torch.from_numpy(landmarks)).numpy()
    frames = np.arange(len(motion))
    for number in motion.T:
        number[~known] = np.interp(frames[~known], frames[known], number[known])
    return LabelledClip(clip, torch.from_numpy(motion))
