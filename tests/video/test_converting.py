"""Pictures that are converted as planes, which is quicker, have the numbers of those that are converted as pixels."""

import numpy as np
import pytest
from av.video.frame import VideoFrame

from video.picture import PLANAR, Converter, Turn


def noise(width: int, height: int, pixels: str, matrix: int, levels: int) -> VideoFrame:
    """A frame of any numbers that these pixels may have."""
    frame, rng = VideoFrame(width, height, pixels), np.random.default_rng(3)
    for plane in frame.planes:
        if pixels.endswith("10le"):
            values = rng.integers(0, 1024, plane.buffer_size // 2).astype("<u2")
        else:
            values = rng.integers(0, 256, plane.buffer_size, dtype=np.uint8)
        plane.update(values.tobytes())
    frame.colorspace, frame.color_range = matrix, levels
    return frame


@pytest.mark.parametrize("pixels", sorted(PLANAR))
def test_planes_become_the_same_numbers_as_pixels(pixels: str) -> None:
    for width, height in ((66, 48), (65, 46), (322, 178)):
        for matrix, levels in ((1, 1), (5, 2)):
            frame = noise(width, height, pixels, matrix, levels)
            shown = Converter(width, height).rgb(frame, Turn())
            assert shown.flags.c_contiguous and shown.flags.writeable
            assert np.array_equal(shown, Converter(width, height)._reformatted(frame, "rgb24"))


def test_a_turned_one_is_turned_and_one_of_odd_rows_is_as_pixels() -> None:
    frame = noise(66, 48, "yuv420p", 1, 1)
    plain = Converter(66, 48).rgb(frame, Turn())
    assert np.array_equal(Converter(66, 48).rgb(frame, Turn(transposed=True)), plain.swapaxes(0, 1))
    odd = noise(66, 47, "yuv420p", 1, 1)
    assert np.array_equal(Converter(66, 47).rgb(odd, Turn()), Converter(66, 47)._reformatted(odd, "rgb24"))
