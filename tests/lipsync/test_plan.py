"""The result has exactly the frames that were asked for, in the order that was asked for."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.planning.timeline import Plan, make_plan
from lipsync.settings import Extend, Settings
from video import VideoInfo, probe, read_frames, write_video


@pytest.mark.parametrize(
    ("extend", "source", "expected"),
    [
        ("pingpong", 4, [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]),
        ("loop", 4, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2]),
        ("hold", 4, [0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3]),
        ("pingpong", 2, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]),
        ("pingpong", 1, [0] * 11),
        ("loop", 1, [0] * 11),
        ("pingpong", 20, list(range(11))),
    ],
)
def test_order(extend, source, expected):
    plan = Plan(source, 11, extend)
    assert [plan[k] for k in range(11)] == expected
    for start, stop in ((0, 11), (2, 5), (9, 11)):
        shown = set(expected[start:stop])
        assert plan.sources(start, stop) == (min(shown), max(shown) + 1)


@pytest.mark.parametrize("extend", ["pingpong", "loop", "hold"])
@pytest.mark.parametrize("source", [1, 2, 7])
@pytest.mark.parametrize("block", [1, 3, 1000])
def test_frames_are_read_in_that_order(tmp_path, monkeypatch, extend, source, block):
    video = tmp_path / "clip.mp4"
    write_video(video, (np.full((16, 16, 3), 20 + 30 * k, np.uint8) for k in range(source)), Fraction(25), crf=0)
    stored = list(read_frames(video))
    monkeypatch.setattr("lipsync.planning.timeline.REVERSE_BYTES", block)
    plan = Plan(source, 23, extend)
    read = list(plan.read(video, 1))
    assert len(read) == 23
    assert all(np.array_equal(frame, stored[plan[k]]) for k, frame in enumerate(read))
    part = list(plan.read(video, 1, 9, 15))
    assert len(part) == 6 and all(np.array_equal(frame, stored[plan[k]]) for k, frame in enumerate(part, 9))


@pytest.mark.parametrize("extend", ["pingpong", "loop", "hold"])
def test_a_stretch_may_begin_and_end_at_any_frame(monkeypatch: pytest.MonkeyPatch, extend: Extend) -> None:
    def forwards(path: Path, *, start: int, stop: int) -> Iterator[int]:
        return iter(range(start, stop))

    def backwards(path: Path, *, start: int, stop: int, held: int) -> Iterator[int]:
        return reversed(range(start, stop))

    monkeypatch.setattr("lipsync.planning.timeline.read_frames", forwards)
    monkeypatch.setattr("lipsync.planning.timeline.read_backwards", backwards)
    for source in (2, 3, 5, 8):
        plan = Plan(source, 40, extend)
        for start in range(20):
            for stop in range(start + 1, 30):
                assert list(plan.read(Path("x"), 1, start, stop)) == [plan[k] for k in range(start, stop)]


@pytest.mark.parametrize(
    ("length", "seconds", "frames"),
    [("audio", 2.0, 60), ("video", 2.0, 40), ("shortest", 2.0, 40), ("shortest", 1.0, 30), ("audio", 0.001, 1)],
)
def test_length(length, seconds, frames):
    info = VideoInfo(Path("x"), Fraction(30000, 1001), 40, 10, 10, audio=True, still=False)
    assert make_plan(info, seconds, Settings(length=length)).frames == frames


@pytest.mark.parametrize(("source", "result"), [(50, 25), (24, 25), (25, 60), (30, 25)])
def test_another_rate_shows_what_is_on_screen_at_each_moment(tmp_path, source, result):
    video = tmp_path / "clip.mp4"
    write_video(video, (np.full((16, 16, 3), 10 * k, np.uint8) for k in range(20)), Fraction(source), crf=0)
    stored = list(read_frames(video))
    plan = make_plan(probe(video), 9.0, Settings(length="video", fps=Fraction(result)))
    assert plan.frames == round(20 * result / source) and plan.fps == result
    for start in (0, 3):
        for k, frame in enumerate(plan.read(video, 1, start), start):
            assert plan[k] == min(k * source // result, 19) and np.array_equal(frame, stored[plan[k]])


def test_moments_are_frames():
    plan = Plan(100, 50, "hold", Fraction(25))
    assert [plan.frame_at(seconds) for seconds in (-1, 0, 0.5, 1.99, 7)] == [0, 0, 12, 50, 50]


def test_a_still_first_frame_is_a_video_of_one_frame():
    info = VideoInfo(Path("x"), Fraction(25), 40, 10, 10, audio=True, still=False)
    plan = make_plan(info, 1.0, Settings(first_frame=True))
    assert {plan[k] for k in range(plan.frames)} == {0}
