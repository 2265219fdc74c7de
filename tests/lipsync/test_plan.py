"""The result has exactly the frames that were asked for, in the order that was asked for."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.plan import Plan, make_plan
from lipsync.settings import Settings
from video import VideoInfo, read_frames, write_video


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
    assert plan.used == len(set(expected))


@pytest.mark.parametrize("extend", ["pingpong", "loop", "hold"])
@pytest.mark.parametrize("source", [1, 2, 7])
@pytest.mark.parametrize("block", [1, 3, 1000])
def test_frames_are_read_in_that_order(tmp_path, monkeypatch, extend, source, block):
    video = tmp_path / "clip.mp4"
    write_video(video, (np.full((16, 16, 3), 20 + 30 * k, np.uint8) for k in range(source)), Fraction(25), crf=0)
    stored = list(read_frames(video))
    monkeypatch.setattr("lipsync.plan.REVERSE_BYTES", block)
    plan = Plan(source, 23, extend)
    read = list(plan.read(video, 1))
    assert len(read) == 23
    assert all(np.array_equal(frame, stored[plan[k]]) for k, frame in enumerate(read))


@pytest.mark.parametrize(
    ("length", "seconds", "frames"),
    [("audio", 2.0, 60), ("video", 2.0, 40), ("shortest", 2.0, 40), ("shortest", 1.0, 30), ("audio", 0.001, 1)],
)
def test_length(length, seconds, frames):
    info = VideoInfo(Path("x"), Fraction(30000, 1001), 40, 10, 10, audio=True, still=False)
    assert make_plan(info, seconds, Settings(length=length)).frames == frames


def test_a_still_first_frame_is_a_video_of_one_frame():
    info = VideoInfo(Path("x"), Fraction(25), 40, 10, 10, audio=True, still=False)
    plan = make_plan(info, 1.0, Settings(first_frame=True))
    assert {plan[k] for k in range(plan.frames)} == {0}
