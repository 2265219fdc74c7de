"""Pictures that are converted as planes, which is quicker, have the numbers of those that are converted as pixels."""

import numpy as np
import pytest
from av.video.frame import VideoFrame

from video.picture import PLANAR, Converter, Turn, shrunken


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


@pytest.mark.parametrize("pixels", [*sorted(PLANAR), "rgb24", "rgba"])
@pytest.mark.parametrize("turn", [Turn(), Turn(transposed=True)])
def test_smaller_pictures_are_those_of_the_whole_ones_averaged(pixels: str, turn: Turn) -> None:
    rng = np.random.default_rng(5)
    rough = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8).repeat(40, axis=0).repeat(40, axis=1)  # 640 x 360
    for height in (360, 359):
        frame = VideoFrame.from_ndarray(rough[:height].copy(), format="rgb24").reformat(format=pixels)
        converter = Converter(640, height)
        small = converter.rgb(frame, turn, 160)
        assert small.shape == ((90, 160, 3) if turn == Turn() else (160, 90, 3)) and small.flags.writeable
        assert np.abs(small.astype(int) - shrunken(converter.rgb(frame, turn), 160)).mean() < 1.5
        assert np.array_equal(converter.rgb(frame, turn, 640), converter.rgb(frame, turn))
