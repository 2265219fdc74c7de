"""Promises of cut and paste: exact where nothing is resampled, and nothing outside the mask ever changes."""

import tracemalloc
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from face_detection import Box, cut, jaw_mask, make_layer, mouth_mask, paste, sharpness_aware_mask
from tests.helpers.failing import fails


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """A picture without detail: resampling barely changes it."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([40 + 170 * x / width, 60 + 150 * y / height, 255 * (x + y) / (height + width)], -1).astype(
        np.uint8
    )


FRACTIONAL = Box(30.25, 20.6, 171.9, 200.05)


def test_a_whole_box_of_the_crops_size_is_copied_and_pasted_back_bit_for_bit():
    frame, box = noise(90, 120), Box(17, 9, 81, 73)
    crop = cut(frame, box, 64)
    assert_array_equal(crop, frame[9:73, 17:81])
    assert_array_equal(paste(frame, crop, box, np.ones((64, 64), np.float32)), frame)
    assert_array_equal(paste(frame, crop, box, mouth_mask(64)), frame)


@pytest.mark.parametrize("box", [FRACTIONAL, Box(-40, -30, 60, 90), Box(5, 5, 12, 14), Box(300, 300, 400, 400)])
def test_nothing_changes_where_the_mask_is_zero(box):
    frame = noise(240, 220)
    assert_array_equal(paste(frame, noise(64, 64), box, np.zeros((64, 64), np.float32)), frame)


@pytest.mark.parametrize(
    "box", [FRACTIONAL, Box(-40.5, -30.2, 60.1, 90.9), Box(5.5, 5.5, 40.2, 44.9), Box(10, 10, 210, 230)]
)
def test_only_the_lower_half_of_the_box_changes(box):
    frame = noise(240, 220)
    changed = (paste(frame, noise(64, 64), box, mouth_mask(64)) != frame).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert changed.any()
    assert rows[0] >= (box.y0 + box.y1) / 2 - 0.5 and rows[-1] < box.y1
    assert columns[0] >= box.x0 - 1 and columns[-1] < box.x1


def test_the_frame_and_the_crop_are_left_alone():
    frame, crop = noise(100, 100), noise(32, 32)
    before = frame.copy(), crop.copy()
    paste(frame, crop, Box(10, 10, 80, 80), mouth_mask(32))
    assert_array_equal(frame, before[0])
    assert_array_equal(crop, before[1])


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("box", [FRACTIONAL, Box(40, 40, 140, 140), Box(-20.5, -10, 150, 170)])
def test_an_unmodified_crop_comes_back_where_it_was(box, size):
    """A shift of half a pixel anywhere would show as an error of one or more on this ramp."""
    frame = smooth(240, 260)
    back = paste(frame, cut(frame, box, size), box, mouth_mask(size))
    assert np.abs(back.astype(int) - frame).max() <= 1


def test_moving_the_box_by_a_part_of_a_pixel_moves_the_picture_by_as_much():
    frame = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], 60, axis=0).repeat(3, axis=2)
    for shift in (0.0, 0.25, 0.5, 0.75):
        crop = cut(frame, Box(20 + shift, 10, 52 + shift, 42), 32)
        assert crop[16, 16, 0] == pytest.approx(2 * (36 + shift), abs=0.51)


def test_shrinking_averages_and_does_not_alias():
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(cut(stripes, Box(10, 10, 170, 170), 40).astype(int) - 100).max() <= 1
    # the mean over 4.5 pixels of stripes that repeat every 2 is itself off by as much
    assert np.abs(cut(stripes, Box(10.3, 10.7, 190.1, 191.9), 40).astype(int) - 100).max() <= 13


@pytest.mark.parametrize("side", [60, 128, 150.3, 205, 310.7, 420])
def test_a_crop_is_the_mean_over_the_area_of_each_of_its_pixels(side):
    """To about half a level in the mean on a sharp photograph of 128 px and more, and nowhere far off."""
    frame, box = portrait(), Box.centred(225.3, 240.6, side, side)
    exact = area_means(frame, box, 128)
    difference = np.abs(cut(frame, box, 128) - exact)
    assert difference.mean() < 0.6 and difference.max() < 20


def portrait() -> np.ndarray:
    """RGB, 512x512: scripts/demo/portrait.jpg."""
    path = Path(__file__).resolve().parents[2] / "scripts" / "demo" / "portrait.jpg"
    return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)


def area_means(frame: np.ndarray, box: Box, size: int) -> np.ndarray:
    """f64 [size, size, 3]: the mean of the frame over each new pixel, but over one pixel of the frame at least."""

    def weights(start: float, stop: float, length: int) -> np.ndarray:
        step = (stop - start) / size
        low = start + (np.arange(size)[:, None] + 0.5) * step - max(step, 1) / 2
        pixels = np.arange(length)
        overlap = np.clip(np.minimum(low + max(step, 1), pixels + 1) - np.maximum(low, pixels), 0, None)
        return overlap / overlap.sum(axis=1, keepdims=True)

    rows, columns = weights(box.y0, box.y1, len(frame)), weights(box.x0, box.x1, frame.shape[1])
    return np.einsum("ay,yxc,bx->abc", rows, frame.astype(np.float64), columns, optimize=True)


@pytest.mark.parametrize("side", [64, 150.3, 300])
def test_a_quarter_of_a_pixel_is_seen_and_a_smooth_track_does_not_tremble(side):
    frame = cv2.GaussianBlur(portrait(), (0, 0), 2)
    crops = [cut(frame, Box.centred(225 + k / 8, 240, side, side), 128).astype(float) for k in range(17)]
    assert np.abs(crops[2] - crops[0]).max() >= 2
    steps = np.array([np.abs(b - a).mean() for a, b in pairwise(crops)])
    assert steps.max() < 1.5 * steps.min()  # rounded corners would stand still and then jump


def test_the_border_repeats_where_the_box_leaves_the_frame():
    frame = noise(40, 40)
    crop = cut(frame, Box(-8, -8, 24, 24), 32)
    assert_array_equal(crop[8:, 8:], frame[:24, :24])
    assert_array_equal(crop[:8, 8:], np.repeat(frame[:1, :24], 8, axis=0))
    assert_array_equal(cut(frame, Box(100, 100, 110, 110), 8), np.broadcast_to(frame[-1, -1], (8, 8, 3)))


def test_the_mouth_mask_starts_at_nothing_and_is_whole_in_the_middle():
    mask = mouth_mask(128)
    assert (mask[:64] == 0).all()
    assert (mask[64] == 0).all() and (mask[-1] == 0).all() and (mask[:, 0] == 0).all() and (mask[:, -1] == 0).all()
    assert (mask[80:112, 16:112] == 1).all()
    hard = mouth_mask(128, feather=0)
    assert (hard[:64] == 0).all() and (hard[64:] == 1).all()


def test_what_makes_no_sense_is_refused():
    frame = noise(20, 20)
    with fails(ValueError, "(5, 5, 5, 9)"):
        Box(5, 5, 5, 9)
    with fails(ValueError, "nan"):
        Box(0, 0, float("nan"), 9)
    with fails(ValueError, "float32 [20, 20, 3]"):
        cut(frame.astype(np.float32), Box(0, 0, 4, 4), 4)
    with fails(ValueError, "mask", "(16, 16)", "(8, 8)"):
        paste(frame, noise(8, 8), Box(0, 0, 4, 4), mouth_mask(16))
    with fails(ValueError, "mask", 7):
        mouth_mask(7)
    with fails(ValueError, "feather of 9", 16):
        mouth_mask(16, feather=9)


@pytest.mark.parametrize("feather", [0, 4, None])
@pytest.mark.parametrize("size", [32, 128])
def test_the_jaw_lies_within_the_half_and_leaves_its_corners(size, feather):
    jaw, half = jaw_mask(size, feather=feather), mouth_mask(size, feather=feather)
    assert (jaw <= half).all() and jaw.dtype == np.float32
    mouth = (slice(size * 3 // 4, size * 13 // 16), slice(size * 3 // 8, size * 5 // 8))
    assert (jaw[mouth] == 1).all()
    assert not jaw[-size // 16 :, : size // 8].any() and not jaw[-size // 16 :, -size // 8 :].any()
    assert_array_equal(jaw, jaw[:, ::-1])


def test_a_nose_that_is_only_softer_stays_and_all_else_is_pasted():
    before = cv2.resize(noise(32, 32), (128, 128), interpolation=cv2.INTER_LINEAR)
    softer = cv2.GaussianBlur(before, (0, 0), 1.5)
    news = sharpness_aware_mask(before, softer)
    assert news.shape == (128, 128) and news.dtype == np.float32
    assert news[:77].max() < 0.2 and (news[93:] == 1).all()
    assert (np.diff(sharpness_aware_mask(before, before)[:, 64]) >= 0).all()
    other = softer.copy()
    other[64:84, 40:88] = 255 - other[64:84, 40:88] // 2  # lips where the nose is taken to be
    assert sharpness_aware_mask(before, other)[68:80, 48:80].min() > 0.9


def test_a_layer_alone_composited_by_an_editor_is_what_paste_gives():
    rng = np.random.default_rng(3)
    frame = rng.integers(0, 256, (90, 120, 3), np.uint8)
    crop = rng.integers(0, 256, (32, 32, 3), np.uint8)
    for box in (Box(20.3, 10.8, 77.1, 66.6), Box(-20, 50, 40, 110), Box(200, 200, 240, 240)):
        layer = make_layer(crop, box, mouth_mask(32), 90, 120)
        alone = layer.alone(90, 120)
        alpha = alone[..., 3:].astype(np.float64) / 255
        composed = frame * (1 - alpha) + alone[..., :3] * alpha
        assert np.abs(composed - paste(frame, crop, box, mouth_mask(32))).max() <= 1.5
        assert not alone[alone[..., 3] == 0].any()


@pytest.mark.parametrize("angle", [0.0, 10.0])
def test_a_box_much_larger_than_the_picture_is_cut_in_bounded_memory(angle: float) -> None:
    frame, box = smooth(60, 80), Box(-50_000, -30_000, 50_000, 30_000, angle)
    tracemalloc.start()
    crop = cut(frame, box, 32)
    made = paste(frame, crop, box, np.ones((32, 32), np.float32))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert crop.shape == (32, 32, 3) and made.shape == frame.shape and most < 400e6
