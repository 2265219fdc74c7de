"""The points of a face are the same however large the picture is."""

import cv2
import numpy as np
import pytest

from face_detection import landmarks as module
from face_detection.alignment import POINTS
from face_detection.box import Box
from face_detection.landmarks import Landmarks
from tests.helpers.talking_head import picture

SIDE = 480


@pytest.fixture(scope="module")
def finder() -> Landmarks:
    return Landmarks()


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    return np.asarray(cv2.resize(picture(), (SIDE * 2, SIDE * 2), interpolation=cv2.INTER_CUBIC), np.uint8)


def box(side: float = SIDE * 2) -> Box:
    return Box.centred(0.5 * side, 0.5 * side, 0.6 * side, 0.75 * side)


def test_a_large_face_is_made_smaller_first_and_seen_as_before(
    finder: Landmarks, large: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = finder.find(large, box())
    assert found.points.shape == (len(POINTS), 2) and box().width > module.FINER * module.SIDE
    monkeypatch.setattr(module, "FINER", np.inf)
    whole = finder.find(large, box())
    assert np.abs(found.points - whole.points).max() < 0.006 * SIDE


def test_a_face_at_the_edge_of_the_picture(
    finder: Landmarks, large: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = np.ascontiguousarray(large[150:, 200:])
    shifted = Box.centred(box().centre[0] - 200, box().centre[1] - 150, box().width, box().height)
    found = finder.find(moved, shifted)
    monkeypatch.setattr(module, "FINER", np.inf)
    assert np.abs(found.points - finder.find(moved, shifted).points).max() < 0.01 * SIDE  # half of its doubt
    far = finder.find(large, Box.centred(-3000.0, -3000.0, 900.0, 1000.0))
    assert np.isfinite(far.points).all()
