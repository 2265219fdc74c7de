"""Tiny talking clips: a face of which the lower half is as bright as the sound is loud."""

from fractions import Fraction

import numpy as np

from audio import MEL_RATE, MELS, Mel
from dataset import Clip

FPS = Fraction(25)


def talking(number: int = 0, *, frames: int = 16, size: int = 32, speaker: str = "ann") -> Clip:
    """Clip number n: its loudness is a random walk of its own; its upper half has one colour of its own."""
    rng = np.random.default_rng(number)
    seconds = frames / 25
    columns = round(seconds * MEL_RATE) + 1
    loudness = np.interp(np.arange(columns) / MEL_RATE, np.arange(frames) / 25, rng.uniform(0, 1, frames))
    mel = np.repeat(loudness[:, None] * 6 - 3, MELS, axis=1).astype(np.float32)
    faces = np.empty((frames, size, size, 3), np.uint8)
    faces[:, : size // 2] = rng.integers(40, 216, 3)
    for frame in range(frames):
        faces[frame, size // 2 :] = 20 + 200 * loudness[round(frame * 3.2)]
    return Clip(f"clip{number}", speaker, faces, Mel(mel, seconds), FPS)


def counting(frames: int = 16, *, size: int = 8, speaker: str = "ann") -> Clip:
    """A clip that says where one is: frame k has grey level 10 k, and a mel column its own number / 100."""
    columns = frames * 4 + 16
    mel = np.repeat(np.arange(columns, dtype=np.float32)[:, None] / 100, MELS, axis=1)
    faces = np.repeat(np.arange(frames, dtype=np.uint8) * 10, size * size * 3).reshape(frames, size, size, 3)
    return Clip("counting", speaker, faces, Mel(mel, frames / 25), FPS)
