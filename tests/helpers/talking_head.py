"""A tiny talking head: pictures with one face, and a sound with syllables."""

import wave
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

PORTRAIT = Path(__file__).parents[2] / "scripts" / "demo" / "portrait.jpg"


def picture(shift: int = 0) -> np.ndarray:
    """The portrait at 256x192, moved to the right by `shift` pixels: u8 RGB with one face."""
    portrait = cv2.imread(str(PORTRAIT))[:384, :, ::-1]
    small = cv2.resize(portrait, (256, 192), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.roll(small, shift, axis=1))


def talking(count: int, faceless: range = range(0)) -> Iterator[np.ndarray]:
    """Frames of the portrait drifting to the right; those in `faceless` show an empty wall."""
    for k in range(count):
        yield np.full((192, 256, 3), 90, np.uint8) if k in faceless else picture(k // 2)


def tone(path: Path, seconds: float, pitch: float = 220.0) -> Path:
    """A 16 kHz mono wave that swells four times a second, like syllables."""
    t = np.arange(round(seconds * 16000)) / 16000
    samples = np.sin(2 * np.pi * pitch * t) * (0.5 + 0.45 * np.sin(2 * np.pi * 4 * t))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 20000).astype("<i2").tobytes())
    return path
