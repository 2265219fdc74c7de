"""Frames of a face are alike where it turns and nods alike in one light, wherever, however large and tilted it is."""

import numpy as np
import pytest

from face_detection.alignment import POINTS, TEMPLATE
from face_detection.likeness import NEAR, SHADE, light_of, likeness

GREY = np.full((1, 3), 100, np.float32)
FACE = np.array(list(TEMPLATE.values()), np.float32)


def apart(one, other, lights=(GREY, GREY)):
    rows = [likeness(points[None], light)[0] for points, light in zip((one, other), lights, strict=True)]
    assert rows[0].shape == (17,) and rows[0].dtype == np.float32
    return float(np.linalg.norm(rows[0] - rows[1]))


def test_place_size_and_tilt_do_not_matter_and_a_turn_does():
    turn = np.radians(25)
    elsewhere = FACE @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * 80 + [300, 200]
    assert apart(FACE, elsewhere.astype(np.float32)) < 0.01
    turned, further = FACE.copy(), FACE.copy()
    turned[POINTS.index(4), 0] += 0.05
    further[POINTS.index(4), 0] += 0.1
    assert 1 < apart(FACE, turned) < apart(FACE, further)
    speaking = FACE.copy()
    speaking[7:, 1] += 0.2
    assert apart(FACE, speaking) == 0  # the mouth has no say


def test_what_counts_as_one():
    lit = GREY + np.float32(SHADE)
    assert apart(FACE, FACE, (GREY, lit)) == pytest.approx(1, abs=1e-3)
    wider = FACE.copy()
    wider[[0, 1], 1] += 3 * np.float32(NEAR)
    wider[[2, 3], 1] -= 3 * np.float32(NEAR)  # most of this is tilt, which is taken out
    assert 0 < apart(FACE, wider) < 3


def test_light_is_the_colour_around_eyes_and_nose_even_at_the_edge():
    frame = np.zeros((120, 100, 3), np.uint8)
    frame[50:90, 20:80] = (200, 150, 100)
    assert np.allclose(light_of(frame, FACE * 100), [200, 150, 100], atol=1)
    assert np.isfinite(light_of(frame, FACE * 100 - np.float32([300, 300]))).all()
    assert np.isfinite(light_of(frame, FACE * 100 + np.float32([300, 300]))).all()
    assert np.isnan(likeness(np.full((1, 9, 2), np.nan, np.float32), GREY)[0, 0])
