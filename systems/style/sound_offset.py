"""How late the sound of clips comes, by lips that are predicted from it: where they fit best those that are seen.

A sync expert (Chung and Zisserman 2016) compares 0.2 s of sound and faces, and one second tells it little.  Stage 1
predicts the whole movement of the lips, so a single word may do, and many clips say what is to be expected of one that
says little.  Ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .lip_motion import MotionSpace
from .motion import FPS

REACH = 5.0    # frames at 25 a second that are tried to either side
STEP = 0.125   # frames between those that are tried
LEAST = int(2 * REACH) + 2  # frames of a clip that can be moved by so much
WORTH = 0.5    # of the frames of a clip count as if each were seen apart: neighbours tell the same
EXPECTED = 1.5  # deviation of the offsets, frames, before anything is known of them
LEARNING = 30  # times that mean and deviation of the offsets are learned from what is likely by them
NARROWEST = 0.1  # deviation of the offsets, frames, at least


@dataclass(frozen=True)
class Fits:
    """How well the lips that a clip's sound predicts go with those that are seen, at each of OFFSETS.

    likelihood  [n] its logarithm: (1 - r^2)^(-t WORTH / 2) of t frames whose movements correlate by r
    correlation  the highest r
    """

    likelihood: Tensor
    correlation: float


@dataclass(frozen=True)
class SoundOffset:
    """seconds: how late the sound comes, below 0 early: the mean of what is likely; deviation: of what is likely,
    seconds; correlation: of predicted and seen movement where they fit best."""

    seconds: float
    deviation: float
    correlation: float


def offsets_tried() -> Tensor:
    """Frames at 25 a second by which a sound may be late, [n]."""
    return torch.arange(-REACH, REACH + STEP / 2, STEP)


def compare(space: MotionSpace, predicted: Tensor, seen: Tensor) -> Fits:
    """predicted, seen [t, d]: motion at 25 frames a second, from the sound as it is and from the pictures.

    ValueError if t is under LEAST.
    """
    frames = len(seen)
    if frames < LEAST:
        raise ValueError(f"{frames} frames are too few to be moved by {REACH:g} to either side")
    made, real = predicted * space.reach, seen * space.reach
    r = torch.stack([_correlation(made, real, float(offset)) for offset in offsets_tried()])
    return Fits(-0.5 * frames * WORTH * torch.log1p(-r.clamp(0, 0.99) ** 2), float(r.max()))


def sound_offsets(clips: Sequence[Fits]) -> list[SoundOffset]:
    """What is likely of each clip, if the offsets of all are normally distributed: with which mean and deviation is
    learned from them (empirical Bayes)."""
    if not clips:
        return []
    tried = offsets_tried()
    likelihood = torch.stack([clip.likelihood for clip in clips])
    mean, deviation = torch.tensor(0.0), torch.tensor(EXPECTED)
    for _ in range(LEARNING):
        share = F.softmax(likelihood - 0.5 * ((tried - mean) / deviation) ** 2, dim=1)
        own = share @ tried
        variance = (share * (tried - own[:, None]) ** 2).sum(dim=1)
        mean = own.mean()
        deviation = (variance + (own - mean) ** 2).mean().sqrt().clamp(min=NARROWEST)
    return [
        SoundOffset(float(one) / float(FPS), float(spread) / float(FPS), clip.correlation)
        for one, spread, clip in zip(own, variance.sqrt(), clips, strict=True)
    ]


def _correlation(predicted: Tensor, seen: Tensor, offset: float) -> Tensor:
    """Of the movement seen at k with the one predicted for k + offset, where both are known."""
    places = torch.arange(len(seen)) + offset
    known = (places >= 0) & (places <= len(seen) - 1)
    low = places[known].long()
    high = (low + 1).clamp(max=len(seen) - 1)
    moved = predicted[low].lerp(predicted[high], (places[known] - low)[:, None])
    one, other = moved - moved.mean(dim=0), seen[known] - seen[known].mean(dim=0)
    r: Tensor = (one * other).sum() / (one.norm() * other.norm()).clamp(min=1e-9)
    return r
