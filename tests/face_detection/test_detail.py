"""Skin keeps the detail of the frame where the new face agrees with it, and only there."""

import cv2
import numpy as np

from face_detection import Box, Layer, make_layer, with_detail

SIZE = 64
BOX = Box(0, 0, 256, 256)
RNG = np.random.default_rng(3)
SKIN = np.clip(RNG.normal(128, 14, (256, 256, 3)) + np.linspace(-20, 20, 256)[:, None, None], 0, 255).astype(np.uint8)


def layer(picture: np.ndarray) -> Layer:
    """What a network of 64 px makes of it."""
    small = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return make_layer(small, BOX, np.ones((SIZE, SIZE), np.float32), 256, 256)


def sharpness(picture: np.ndarray) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64), cv2.CV_64F).var())


def test_what_was_only_blurred_gets_its_own_detail_back() -> None:
    soft, kept = layer(SKIN), with_detail(layer(SKIN), SKIN, 256)
    assert sharpness(soft.colours) < 0.2 * sharpness(SKIN)
    assert sharpness(kept.colours) > 0.8 * sharpness(SKIN)
    inner = [picture[40:-40, 40:-40].astype(float) for picture in (kept.colours, SKIN)]
    detail = [(picture - cv2.GaussianBlur(picture, (0, 0), 2)).ravel() for picture in inner]
    assert np.corrcoef(*detail)[0, 1] > 0.9


def test_what_is_another_picture_gets_nothing() -> None:
    other = np.full_like(SKIN, 20)
    assert np.array_equal(with_detail(layer(other), SKIN, 256).colours, layer(other).colours)


def test_a_mouth_that_differs_gets_nothing_while_the_cheek_beside_it_does() -> None:
    opened = SKIN.copy()
    opened[150:200, 90:170] = 10
    kept = with_detail(layer(opened), SKIN, 256)
    mouths = [picture.colours[160:190, 100:160].astype(int) for picture in (kept, layer(opened))]
    assert np.abs(mouths[0] - mouths[1]).max() <= 4  # of its own edges, enlarged
    assert sharpness(kept.colours[20:100]) > 0.7 * sharpness(SKIN[20:100])


def test_no_strength_and_nothing_to_lay_change_nothing() -> None:
    assert with_detail(layer(SKIN), SKIN, 256, 0.0) is not None
    assert np.array_equal(with_detail(layer(SKIN), SKIN, 256, 0.0).colours, layer(SKIN).colours)
    empty = make_layer(SKIN[:SIZE, :SIZE], BOX, np.zeros((SIZE, SIZE), np.float32), 256, 256)
    assert with_detail(empty, SKIN, 256) is empty


def test_less_strength_is_less_detail() -> None:
    half, whole = (sharpness(with_detail(layer(SKIN), SKIN, 256, strength).colours) for strength in (0.5, 1.0))
    assert sharpness(layer(SKIN).colours) < half < whole


def test_a_mouth_that_is_softer_than_the_face_around_it_is_sharpened_within_bounds() -> None:
    other = np.clip(SKIN.astype(int) + 60, 0, 255).astype(np.uint8)  # another picture everywhere: nothing of it is kept
    soft = layer(other)
    sharpened, half = (with_detail(soft, SKIN, 256, strength) for strength in (1.0, 0.5))
    assert 1.5 < sharpness(sharpened.colours) / sharpness(soft.colours) < 2.7  # at most 1.6 times, squared
    assert sharpness(soft.colours) < sharpness(half.colours) < sharpness(sharpened.colours)
    smooth = cv2.GaussianBlur(SKIN, (0, 0), 8)  # a video that is no sharper than what the network makes
    assert np.array_equal(with_detail(soft, smooth, 256).colours, soft.colours)
