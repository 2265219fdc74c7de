"""Talkers made of numbers."""

import numpy as np

from audio import SAMPLE_RATE, Waveform, log_mel
from core.arrays import Pictures
from evaluation.video_sample import WIDE, Points, VideoSample
from face_detection import Box

SAMPLES = SAMPLE_RATE // 25  # of a frame


def video_sample(
    faces: Pictures, *, wide: Pictures | None = None, samples: np.ndarray | None = None, mouth: Points | None = None
) -> VideoSample:
    """A sample of these faces; its sound is silence unless given, its surroundings grey."""
    t = len(faces)
    sound = Waveform(np.zeros(t * SAMPLES, np.float32) if samples is None else samples.astype(np.float32), SAMPLE_RATE)
    around = np.full((t, WIDE, WIDE, 3), 128, np.uint8) if wide is None else wide
    return VideoSample(faces, around, Box(50, 0, 174, 158), sound, log_mel(sound), mouth)


def noise(t: int, size: int = 32, seed: int = 0) -> Pictures:
    """u8 [t, size, size, 3]"""
    return np.random.default_rng(seed).integers(0, 256, (t, size, size, 3)).astype(np.uint8)


def mouths(openings: np.ndarray, at: tuple[float, float] = (100.0, 150.0), width: float = 40.0) -> Points:
    """Mouths of this width around a point, open so far over their width: f32 [t, 20, 2]."""
    points = np.zeros((len(openings), 20, 2), np.float32)
    points[:, 0, 0], points[:, 6, 0] = -width / 2, width / 2
    points[:, 14, 1], points[:, 18, 1] = -openings * width / 2, openings * width / 2
    return points + np.array(at, np.float32)
