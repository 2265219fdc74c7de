"""Clips begin where frames and mel columns meet, stay within their shot, and show one large enough face."""

from fractions import Fraction

import numpy as np
import pytest

from dataset.span import Least, Span, spans
from face_detection import FaceTrack
from tests.helpers.failing import fails

FPS = Fraction(25)


def track(present: list[tuple[int, int]], frames: int, shots: tuple[int, ...] = (0,), height: float = 120) -> FaceTrack:
    boxes = np.full((frames, 4), np.nan, np.float32)
    for start, stop in present:
        boxes[start:stop] = (10, 10, 10 + height * 0.8, 10 + height)
    return FaceTrack(boxes, ~np.isnan(boxes[:, 0]), shots)


def test_each_stretch_of_a_shot_is_a_span_or_says_why_not() -> None:
    found = list(spans(track([(0, 60), (75, 140), (140, 160), (160, 300)], 300, (0, 140, 160)), FPS, Least()))
    assert [(float(s.begin), s.frames, s.flaw) for s in found] == [
        (0.0, 60, None),
        (2.4, 15, "no face"),
        (3.0, 65, None),
        (5.6, 20, "shorter than 1 s"),
        (6.4, 140, None),
    ]
    assert found[0].face == pytest.approx(120)


def test_a_span_begins_on_the_beat_and_ends_with_its_stretch() -> None:
    (span,) = spans(track([(0, 100)], 100), FPS, Least())
    assert span.numbers(FPS) == list(range(100))
    _, late = spans(track([(33, 100)], 100), FPS, Least())
    assert late.begin == Fraction(7, 5) and late.numbers(FPS) == list(range(35, 100))


def test_small_faces_are_left_out() -> None:
    (small,) = spans(track([(0, 50)], 50, height=80), FPS, Least(face=96))
    assert small.flaw == "face of 80 px, less than 96"
    (kept,) = spans(track([(0, 50)], 50, height=80), FPS, Least(face=80))
    assert kept.flaw is None


def test_a_long_stretch_becomes_equal_parts_without_a_gap() -> None:
    found = list(spans(track([(0, 1303)], 1303), FPS, Least()))
    assert [s.frames for s in found] == [430, 435, 438] and all(s.frames <= 500 for s in found)
    assert [k for s in found for k in s.numbers(FPS)] == list(range(1303))
    assert all((s.begin * 5).denominator == 1 for s in found)


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30000, 1001), Fraction(50), Fraction(60), Fraction(12)])
def test_other_rates_give_the_nearest_frame_and_never_one_of_another_shot(fps: Fraction) -> None:
    start, stop = round(2 * fps) + 1, round(5 * fps)
    _, span, _ = spans(track([(start, stop)], stop + 40), fps, Least())
    numbers = span.numbers(fps)
    assert span.frames in (69, 70) and len(numbers) == span.frames
    assert start <= numbers[0] and numbers[-1] < stop
    for k, number in enumerate(numbers[:-1]):
        assert abs(number / fps - (span.begin + k / FPS)) <= 1 / (2 * fps)


def test_impossible_demands_are_refused() -> None:
    for wrong in ({"seconds": 0.0}, {"face": -1.0}):
        with fails(ValueError, "Least("):
            Least(**wrong)


def test_a_video_without_frames_has_no_spans() -> None:
    assert [s.flaw for s in spans(track([], 30), FPS, Least())] == ["no face"]
    assert Span(Fraction(0), 0, 0, 0).numbers(FPS) == []
