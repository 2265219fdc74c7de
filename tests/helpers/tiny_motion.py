"""Stage 1 at the size of a thumbnail, and prepared clips whose lips open as wide as they are loud."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dataset import Clip, save_clip
from systems.style import LipMotionConfig, MotionSpace
from systems.style.labels import SPACE, save_landmarks
from systems.style.lip_motion import LOWER_LIP, POINTS, UPPER_LIP
from systems.style.motion import HEARD_WIDTH, PredictorConfig
from systems.style.reader import ReaderConfig
from tests.helpers.toy import talking

NUMBERS = 4
CONFIG = LipMotionConfig(
    size=32,
    motion_dim=NUMBERS,
    reader=ReaderConfig(widths=(32, 32), hidden=32),
    predictor=PredictorConfig(width=32, heads=2, reach=2),
)


def mouth(opening: np.ndarray, shape: float = 0.0, seed: int = 0) -> np.ndarray:
    """Landmarks [t, p, 2] of lips that are `opening` [t] apart, on a face that is `shape` wider, a little uncertain."""
    base = np.random.default_rng(5).normal(size=(len(POINTS), 2)) * 0.3
    points = np.repeat(base[None], len(opening), axis=0)
    points[..., 0] *= 1 + shape
    points[:, LOWER_LIP, 1] = points[:, UPPER_LIP, 1] + opening
    noise = np.random.default_rng(seed).normal(size=points.shape) * 0.01
    return np.asarray(points + noise, np.float32)


def openings(clip: Clip) -> np.ndarray:
    """How loud a talking clip is at each frame, from 0 to 0.4."""
    return np.asarray((clip.faces[:, -1, 0, 0].astype(float) - 20) / 500)


def space() -> MotionSpace:
    opening = np.random.default_rng(1).uniform(0, 0.4, 200)
    wide = np.concatenate([mouth(opening[:100], 0.1), mouth(opening[100:], -0.1, seed=1)])
    return MotionSpace.fitted(wide, np.ones(200), NUMBERS)


def prepare(folder: Path, *, frames: int = 30) -> Path:
    """Three splits; ann and bob in train, two clips each, all with landmarks; and the space."""
    places = [("train", "ann"), ("train", "ann"), ("train", "bob"), ("train", "bob"), ("seen", "ann"), ("test", "eve")]
    for number, (split, speaker) in enumerate(places):
        clip = talking(number, frames=frames)
        path = folder / split / speaker / f"clip{number}.npz"
        save_clip(path, clip)
        save_landmarks(path, mouth(openings(clip), 0.1 if speaker == "ann" else -0.1, seed=number))
    space().save(folder / SPACE)
    return folder


def heard(frames: int, seed: int = 0) -> Tensor:
    """What ears of the kind mel might hear, [t, h]."""
    return torch.randn(frames, HEARD_WIDTH, generator=torch.Generator().manual_seed(seed))
