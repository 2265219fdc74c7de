"""Tiny videos that say where one is: frame k has grey level 10 + 6 k all over, its sound rises with time."""

import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from video import write_video

FPS = Fraction(25)


def level(number: int) -> int:
    return 10 + 6 * number


def grey(frames: int, size: int = 48) -> Iterator[np.ndarray]:
    for number in range(frames):
        yield np.full((size, size, 3), level(number), np.uint8)


def noise(path: Path, seconds: float) -> Path:
    """16 kHz mono noise that grows louder."""
    count = round(seconds * 16_000)
    samples = np.linspace(0.1, 1, count) * np.random.default_rng(0).uniform(-1, 1, count)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 20_000).astype("<i2").tobytes())
    return path


def tiny_video(path: Path, frames: int = 12, *, fps: Fraction = FPS, sound: bool = True, size: int = 48) -> Path:
    """A video with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    heard = noise(path.with_suffix(".wav"), float(frames / fps)) if sound else None
    write_video(path, grey(frames, size), fps, sound=heard, crf=8, preset="ultrafast")
    if heard is not None:
        heard.unlink()
    return path


def numbers(faces: np.ndarray) -> list[int]:
    """Which frames these are.  u8 [n, s, s, 3]"""
    middle = faces[:, faces.shape[1] // 2, faces.shape[2] // 2].mean(axis=1)
    return [round((value - 10) / 6) for value in middle]
