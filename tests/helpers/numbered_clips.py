"""Tiny clips whose frames carry their number: eight vertical bars are its bits, and the upper half is dimmer."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

HEIGHT, WIDTH = 48, 64


def numbered(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """The picture of a number below 256, u8 [h, w, 3]."""
    bits = np.array([number >> bit & 1 for bit in range(8)], np.uint8) * 220
    row = bits[np.arange(width) * 8 // width]
    picture = np.repeat(row[None, :, None], height, 0).repeat(3, 2)
    picture[: height // 2] //= 2
    return picture


def number(frame: np.ndarray) -> int:
    """The number on a picture that `numbered` made."""
    lower = frame[frame.shape[0] * 3 // 4]
    columns = (np.arange(8) * 2 + 1) * frame.shape[1] // 16
    return sum(1 << bit for bit, column in enumerate(columns) if lower[column].mean() > 110)


def numbers(frames: Iterable[np.ndarray]) -> list[int]:
    return [number(frame) for frame in frames]


def clip(
    path: Path,
    times: Sequence[int],
    *,
    tick: Fraction = Fraction(1, 25),
    fps: Fraction = Fraction(25),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rotation: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """A clip whose picture k is shown from times[k] * tick; key frames every 10, B-frames between."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=fps, options=options if options is not None else {"g": "10", "bf": "3"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.codec_context.time_base = tick
        if rotation:
            stream.set_display_rotation(rotation)
        for place, time in enumerate(times):
            picture = VideoFrame.from_ndarray(numbered(place), format="rgb24").reformat(format=pixels)
            picture.pts, picture.time_base = time, tick
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path
