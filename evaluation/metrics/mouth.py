"""What the mouth does, by its landmarks: where its points are, how far it opens, and when."""

import numpy as np
from numpy.typing import NDArray

from audio.activity import speech_activity
from systems.metrics import correlation

from ..video_sample import FPS, Points, VideoSample
from .metric import Figure, MetricSpec, clip_mean

LEFT, RIGHT, UPPER, LOWER = 0, 6, 14, 18
"""Of the 20 points, iBUG's 48, 54, 62 and 66: the corners of the mouth, and the middle of the lips' inner edges."""
LEAST = 10  # frames in which both mouths are seen, below which there is no telling

Series = NDArray[np.float64]


def metric_specs(finder: str) -> list[MetricSpec]:
    """The figures of landmarks, with their finder's name: points of another finder are another figure."""
    opening = "opening: inner lips' distance over the mouth's width"
    return [
        clip_mean(Figure(
            f"LMD ({finder})", "px", "down",
            "Chen et al. 2018: mean distance of the mouth's 20 points, both mouths' means laid on each other; px of the"
            " 224 px crop",
            2, ("reconstruction",), paired=True,
        ), lambda real, fake: distance(_mouth(real), _mouth(fake))),
        clip_mean(Figure(
            f"mouth opening, correlation ({finder})", "r", "up", f"ours: Pearson's, with the real mouth's; {opening}",
            3, ("reconstruction",), paired=True,
        ), _together),
        clip_mean(Figure(
            f"leakage ({finder})", "r", "down",
            f"ours: Pearson's, with the opening of the original mouth, which said something else; {opening}",
            3, ("cross",), paired=True,
        ), _together),
        clip_mean(Figure(
            f"silence motion ({finder})", "1/s", "down",
            f"ours: mean |change| of the opening per second while nobody speaks; {opening}",
        ), lambda _, fake: silence_motion(fake)),
    ]  # fmt: skip


def opening(mouth: Points) -> Series:
    """How far the mouth is open, over its width: f64 [t], NaN where it is not seen.  mouth f32 [t, 20, 2]."""
    exact = mouth.astype(np.float64)
    width = np.linalg.norm(exact[:, LEFT] - exact[:, RIGHT], axis=1)
    height = np.linalg.norm(exact[:, UPPER] - exact[:, LOWER], axis=1)
    return np.asarray(height / np.where(width > 0, width, np.nan), np.float64)


def distance(real: Points, fake: Points) -> float | None:
    """LMD in the points' pixels; None if both mouths are seen in too few frames.  f32 [t, 20, 2] each."""
    apart = (real - real.mean(axis=1, keepdims=True)) - (fake - fake.mean(axis=1, keepdims=True))
    frames = np.linalg.norm(apart, axis=2).mean(axis=1)
    measured = frames[~np.isnan(frames)]
    return float(measured.mean()) if len(measured) >= LEAST else None


def silence_motion(sample: VideoSample) -> float | None:
    """Mean |change| of the opening per second over the frames in which, as in the one before, nobody speaks."""
    silent = speech_activity(sample.mel).gate(0, len(sample), FPS) == 0
    changes = np.abs(np.diff(opening(_mouth(sample))))[silent[1:] & silent[:-1]]
    changes = changes[~np.isnan(changes)]
    return float(changes.mean() * FPS) if len(changes) >= LEAST else None


def _together(real: VideoSample, fake: VideoSample) -> float | None:
    return correlation(opening(_mouth(real)), opening(_mouth(fake)), LEAST)


def _mouth(sample: VideoSample) -> Points:
    if sample.mouth is None:
        raise ValueError("nobody looked for the landmarks of this sample")
    return sample.mouth
