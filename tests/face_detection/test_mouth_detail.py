"""A soft mouth gets the detail of a sharp one that looks like it, and nothing of one that does not."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from face_detection.mouth_detail import COLUMNS, ROWS, MouthDetail

SIZE = 128


def face(opening: float, *, factor: int = 1, shift: float = 0.0) -> np.ndarray:
    """u8 [f s, f s, 3]: lips around a dark mouth with stripes for teeth, so far open, moved to the right by pixels."""
    side = SIZE * factor
    y, x = np.mgrid[:side, :side].astype(np.float32) / factor
    x = x - 64 - shift
    inside = np.clip(1.5 - np.hypot(x / 22, (y - 100) / max(opening, 1)), 0, 1)
    teeth = inside * (np.abs(y - 98) < opening / 2) * (1 + np.sin(x * 1.15)) / 2
    lips = np.clip(1.5 - np.hypot(x / 30, (y - 100) / (opening + 8)), 0, 1)
    grey = 150 - 50 * lips - 60 * inside + 120 * teeth
    return np.repeat(np.clip(grey, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


def soft(picture: np.ndarray, deviation: float = 1.6) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), deviation))


def mouth(picture: np.ndarray) -> np.ndarray:
    side = len(picture)
    rows, columns = (slice(round(a * side), round(b * side)) for a, b in (ROWS, COLUMNS))
    return picture[rows, columns].astype(float)


def sharpness(picture: np.ndarray) -> float:
    return float(cv2.Laplacian(mouth(picture).astype(np.float32), cv2.CV_32F).var())


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(mouth(one) - mouth(other)).mean())


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_soft_mouth_becomes_as_sharp_as_the_same_mouth_elsewhere(factor: int) -> None:
    detail = MouthDetail(np.stack([face(opening, factor=factor) for opening in (3, 8, 14, 20)]), SIZE)
    new, real = soft(face(14, shift=1.5)), face(14, factor=factor, shift=1.5)
    plain = cv2.resize(new, (SIZE * factor, SIZE * factor), interpolation=cv2.INTER_CUBIC)
    made = detail.over(new)
    assert made.shape == real.shape and made.dtype == np.uint8
    assert sharpness(made) > 3 * sharpness(plain) and sharpness(made) < 1.3 * sharpness(real)
    assert error(made, real) < 0.6 * error(plain, real)


def test_a_mouth_that_nobody_has_is_left_as_it_is() -> None:
    new = soft(face(20))
    made = MouthDetail(np.stack([face(1), face(2)]), SIZE).over(new)
    assert error(made, new) < 1.5


def test_nothing_changes_outside_the_mouth_or_without_strength() -> None:
    detail = MouthDetail(face(14)[None], SIZE)
    new = soft(face(14))
    made = detail.over(new)
    changed = np.argwhere((made != new).any(axis=2)) / SIZE
    assert len(changed) and changed[:, 0].min() >= ROWS[0] - 0.01 and changed[:, 1].min() >= COLUMNS[0] - 0.01
    assert np.array_equal(detail.over(new, 0.0), new)
    assert 0 < error(detail.over(new, 0.5), new) < error(made, new)


def test_it_depends_on_the_new_mouth_alone() -> None:
    detail = MouthDetail(np.stack([face(3), face(14)]), SIZE)
    first = detail.over(soft(face(14)))
    detail.over(soft(face(3)))
    assert np.array_equal(detail.over(soft(face(14))), first)


def test_a_small_change_of_the_mouth_is_a_small_change_of_the_detail() -> None:
    detail = MouthDetail(np.stack([face(opening) for opening in range(2, 22, 2)]), SIZE)
    frames = [detail.over(soft(face(10 + 0.2 * step))) for step in range(10)]
    real = [face(10 + 0.2 * step) for step in range(10)]
    steps, truth = ([error(a, b) for a, b in pairwise(each)] for each in (frames, real))
    assert np.mean(steps) < 2.5 * np.mean(truth)


def test_lips_get_the_persons_colour_in_the_light_of_their_frame() -> None:
    others = np.stack([face(opening) for opening in (3, 14)])
    new, painted = soft(face(14)), soft(face(14)).astype(np.int64)
    lips = np.abs(new.astype(int) - new[0, 0]).max(axis=2) > 20
    painted[lips] += (-8, 6, 8)
    made = MouthDetail(others, SIZE).over(np.clip(painted, 0, 255).astype(np.uint8))
    assert lips.any() and _apart(made, new, lips) < 0.5 * _apart(painted, new, lips)
    darker = MouthDetail(others - 12, SIZE).over(new)
    assert _apart(darker, MouthDetail(others, SIZE).over(new), lips) < 1


def _apart(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    """How far the mean colours are apart, in levels."""
    return float(np.linalg.norm(one[where].mean(axis=0) - other[where].mean(axis=0)))
