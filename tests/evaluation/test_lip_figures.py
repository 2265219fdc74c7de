"""The figures of lips, on lips that are known."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.metrics import lips
from evaluation.metrics.lip_points import LIPS, POINTS, LipPoints
from evaluation.metrics.lips import BEST, LAGS, MEASURES, BestLag, metric_specs
from evaluation.video_sample import Points, VideoSample
from face_detection import Box
from tests.helpers.failing import fails
from tests.helpers.video_samples import SAMPLES, noise, video_sample

SWING = 4 + 3 * np.sin(np.arange(60) / 2.3)
FIGURES = {figure.name: measure for figure, measure in MEASURES}


def points(apart: np.ndarray, at: tuple[float, float] = (112, 150), nose: float = 0.0) -> Points:
    """f32 [t, p, 2]: lips around a point, 60 px wide, so many px apart; forehead and chin are 200 px apart."""
    found = np.zeros((len(apart), len(LIPS), 2), np.float32)
    place = {number: k for k, number in enumerate(LIPS)}
    found[:, place[10]], found[:, place[152]], found[:, place[1]] = (112, 20), (112, 220), (112 + nose, 110)
    for ring, width, height in ((lips.OUTER, 30.0, 15.0), (lips.INNER, 20.0, 4.0)):
        turn = np.linspace(np.pi, -np.pi, len(ring), endpoint=False)
        for number, angle in zip(ring, turn, strict=True):
            found[:, place[number]] = np.array(at) + (width * np.cos(angle), height * np.sin(angle))
    for upper, lower in lips.INNER_PAIRS:
        for number, side in ((upper, -1), (lower, 1)):
            found[:, place[number], 1] = at[1] + side * apart / 2
    return found


def speaking(wide: np.ndarray, apart: np.ndarray = SWING, **where: float) -> VideoSample:
    return replace(video_sample(noise(len(wide)), wide=wide), lips=points(apart, **where))


@pytest.fixture(scope="module")
def wide() -> np.ndarray:
    """Pictures with detail of every size that changes all the time."""
    return np.stack([cv2.GaussianBlur(picture, (0, 0), 0.8) for picture in noise(60, 224)])


@pytest.fixture(scope="module")
def soft(wide: np.ndarray) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(picture, (0, 0), 3) for picture in wide])


def test_a_talker_is_like_itself(wide: np.ndarray) -> None:
    one = speaking(wide)
    found = {name: measure(one, one) for name, measure in FIGURES.items() if "envelope" not in name}
    nothing = {"lip displacement, mouth", "lip displacement, nose", "lip colour"}
    assert found == {name: pytest.approx(0 if name in nothing else 1) for name in found}


def test_opening_is_a_share_of_the_face(wide: np.ndarray) -> None:
    assert lips.openings(speaking(wide)) == pytest.approx(SWING / 200, abs=1e-6)


def test_a_mouth_that_moves_half_as_much_has_half_the_range_and_all_of_r(wide: np.ndarray) -> None:
    real, fake = speaking(wide), speaking(wide, 3 + SWING / 2)
    assert FIGURES["lip opening, range"](real, fake) == pytest.approx(0.5, abs=1e-4)
    assert FIGURES["lip opening, r"](real, fake) == FIGURES["lip opening, leakage"](real, fake) == pytest.approx(1)
    assert FIGURES["lip opening, r"](real, speaking(wide, 10 - SWING)) == pytest.approx(-1)


def test_softness_is_seen_in_every_figure_of_detail(wide: np.ndarray, soft: np.ndarray) -> None:
    real, fake = speaking(wide), speaking(soft)
    for name in ("lip sharpness, mouth", "lip sharpness, lips alone", "lip detail, flicker"):
        found = FIGURES[name](real, fake)
        assert found is not None and found < 0.2, name


def test_detail_that_is_not_the_real_one_is_sharp_and_counts_for_nothing(wide: np.ndarray) -> None:
    real, fake = speaking(wide), speaking(np.ascontiguousarray(wide[::-1]))
    assert FIGURES["lip sharpness, mouth"](real, fake) == pytest.approx(1, abs=0.1)
    assert FIGURES["lip detail, high band"](real, fake) == pytest.approx(0, abs=0.05)


def test_displacement_is_that_of_mouth_and_nose_in_pixels(wide: np.ndarray) -> None:
    real, fake = speaking(wide), speaking(wide, at=(115, 154), nose=-2)
    assert FIGURES["lip displacement, mouth"](real, fake) == pytest.approx(5, abs=1e-3)
    assert FIGURES["lip displacement, nose"](real, fake) == pytest.approx(2, abs=1e-3)


def test_colour_is_that_of_the_lips_and_not_of_what_is_between_or_around_them(wide: np.ndarray) -> None:
    open_wide = np.full(60, 14.0)
    real = speaking(np.full_like(wide, 128), open_wide)
    other = real.wide.copy()
    other[:, :100] = 0
    other[:, 148:153, 108:117] = 0  # in the open mouth
    assert FIGURES["lip colour"](real, speaking(other, open_wide)) == pytest.approx(0, abs=0.01)
    brighter = speaking(np.full_like(wide, 153), open_wide)
    assert FIGURES["lip colour"](real, brighter) == pytest.approx(9.6, abs=0.3)  # of L, which runs from 0 to 100


@pytest.mark.parametrize("late", [0, 3, -2])
def test_a_mouth_that_follows_the_sound_has_its_envelope_as_late_as_it_is(wide: np.ndarray, late: int) -> None:
    rng = np.random.default_rng(1)
    loudness = np.convolve(rng.uniform(0, 1, 60), np.ones(3) / 3, "same")
    samples = np.repeat(10.0 ** (loudness * 2 - 2), SAMPLES) * rng.uniform(-1, 1, 60 * SAMPLES)
    said = video_sample(noise(60), wide=wide, samples=samples)
    curve = lips.envelope(replace(said, lips=points(2 + 8 * np.roll(loudness, late))))
    assert curve is not None and LAGS[int(curve.argmax())] == late and curve.max() > 0.8
    best = BestLag(BEST)
    assert best.result() is None and best.update(said, replace(said, lips=points(SWING))) is None
    assert best.result() is not None


def test_frames_without_a_face_do_not_count_and_too_few_say_nothing(wide: np.ndarray) -> None:
    real, fake = speaking(wide), speaking(wide)
    assert fake.lips is not None
    fake.lips[:10] = np.nan
    assert FIGURES["lip opening, r"](real, fake) == pytest.approx(1)
    fake.lips[:] = np.nan
    # what is measured in the box at the real mouth needs no other lips
    measured = [figure.name for figure, measure in MEASURES if measure(real, fake) is not None]
    assert measured == ["lip sharpness, mouth", "lip detail, high band", "lip detail, flicker"]


def test_every_figure_has_its_setting_and_needs_somebody_who_looks_for_lips() -> None:
    settings = {spec.figure.name: spec.figure.settings for spec in metric_specs()}
    assert settings["lip opening, r"] == ("reconstruction",) and settings["lip opening, leakage"] == ("cross",)
    with fails(ValueError, "lips"):
        FIGURES["lip opening, r"](video_sample(noise(20)), video_sample(noise(20)))


class Landmarker:
    """Finds every point at the middle of the pictures; notes what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, ...]] = []

    def find(self, pictures: np.ndarray) -> Points:
        self.shown.append(pictures.shape)
        return np.full((len(pictures), len(POINTS), 2), pictures.shape[1] / 2, np.float32)


@pytest.mark.parametrize(("side", "shown"), [(224, 304), (320, 320)])
def test_small_pictures_are_shown_with_their_edge_around_them_and_only_once(
    tmp_path: Path, side: int, shown: int
) -> None:
    landmarker, pictures = Landmarker(), noise(3, side)
    finder = LipPoints(landmarker, tmp_path / "points")  # type: ignore[arg-type]
    found = finder.find(pictures, Box(0, 0, 1, 1))
    assert (found == side / 2).all() and landmarker.shown == [(3, shown, shown, 3)]
    again = LipPoints(landmarker, tmp_path / "points").find(pictures.copy(), Box(0, 0, 1, 1))  # type: ignore[arg-type]
    assert np.array_equal(again, found) and len(landmarker.shown) == 1
    LipPoints(landmarker).find(pictures, Box(0, 0, 1, 1))  # type: ignore[arg-type]
    assert len(landmarker.shown) == 2


def test_two_runs_that_keep_what_they_find_in_one_folder_do_not_meet(tmp_path: Path) -> None:
    pictures, runs = noise(3, 320), 8
    at_once = threading.Barrier(runs)

    class Together(Landmarker):
        def find(self, pictures: np.ndarray) -> Points:
            at_once.wait(10)
            return super().find(pictures)

    def find(_: int) -> Points:
        return LipPoints(Together(), tmp_path / "points").find(pictures, Box(0, 0, 1, 1))  # type: ignore[arg-type]

    with ThreadPoolExecutor(runs) as pool:
        assert all((found == 160).all() for found in pool.map(find, range(runs)))
    assert len(list((tmp_path / "points").iterdir())) == 1
