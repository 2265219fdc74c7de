"""How late the sound of a clip comes, by lips that are predicted from it: where they fit best those that are seen.

A sync expert (Chung and Zisserman 2016) compares 0.2 s of sound and faces, and one second tells it little.  Stage 1
predicts the whole movement of the lips, so a single word may do.  Ours.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .lip_motion import MotionSpace
from .motion import FPS

REACH = 4.0    # frames at 25 a second that are tried to either side
STEP = 0.125   # frames between those that are tried
PRIOR = 1.5    # deviation of the offsets that are expected, frames
WORTH = 0.5    # of the frames of a clip count as if each were seen apart: neighbours tell the same
LEAST = int(2 * REACH) + 2  # frames of a clip that can be moved by so much


@dataclass(frozen=True)
class SoundOffset:
    """seconds: how late the sound comes, below 0 early: the mean of what is likely; deviation: of what is likely,
    seconds; correlation: of predicted and seen movement where they fit best."""

    seconds: float
    deviation: float
    correlation: float


def find_sound_offset(space: MotionSpace, predicted: Tensor, seen: Tensor) -> SoundOffset:
    """predicted, seen [t, d]: motion at 25 frames a second, from the sound as it is and from the pictures.

    The correlation r of the movements at each offset makes it as likely as (1 - r^2)^(-t WORTH / 2), times a normal
    prior around 0.  ValueError if t is under LEAST.
    """
    frames = len(seen)
    if frames < LEAST:
        raise ValueError(f"{frames} frames are too few to be moved by {REACH:g} to either side")
    offsets = torch.arange(-REACH, REACH + STEP / 2, STEP)
    fits = torch.stack([_fit(predicted * space.reach, seen * space.reach, float(offset)) for offset in offsets])
    likely = -0.5 * frames * WORTH * torch.log1p(-fits.clamp(0, 0.99) ** 2) - 0.5 * (offsets / PRIOR) ** 2
    share = F.softmax(likely, dim=0)
    mean = (share * offsets).sum()
    deviation = (share * (offsets - mean) ** 2).sum().sqrt()
    return SoundOffset(float(mean) / float(FPS), float(deviation) / float(FPS), float(fits.max()))


def _fit(predicted: Tensor, seen: Tensor, offset: float) -> Tensor:
    """The correlation of the movement seen at k with the one predicted for k + offset, where both are known."""
    places = torch.arange(len(seen)) + offset
    known = (places >= 0) & (places <= len(seen) - 1)
    low = places[known].long()
    high = (low + 1).clamp(max=len(seen) - 1)
    moved = predicted[low].lerp(predicted[high], (places[known] - low)[:, None])
    one, other = moved - moved.mean(dim=0), seen[known] - seen[known].mean(dim=0)
    fit: Tensor = (one * other).sum() / (one.norm() * other.norm()).clamp(min=1e-9)
    return fit
