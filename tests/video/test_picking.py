"""Frames picked out of a file are those that a decoder gives that reads all of it."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.failing import fails
from tests.helpers.numbered_clips import clip, numbers
from video import pick_frames, read_frames


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])  # no presentation times in the last: no seeking
def test_picked_frames_are_those_of_the_whole_file(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / name, range(100))  # a key frame every 10, frames that need both neighbours
    whole = list(read_frames(path))
    for asked in ([3, 35, 36, 58, 59, 60, 61, 99], [0, 95], [12, 13, 71], [9, 10, 20, 30, 30, 49], range(100)):
        picked = list(pick_frames(path, asked))
        assert numbers(picked) == list(asked)
        assert all(np.array_equal(frame, whole[k]) for frame, k in zip(picked, asked, strict=True))


def test_a_variable_rate_is_resolved_as_when_reading(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4", [k if k < 40 else k + 12 for k in range(70)])  # the camera paused
    whole = list(read_frames(path))
    assert numbers(pick_frames(path, [38, 45, 60])) == numbers([whole[38], whole[45], whole[60]])


def test_what_is_not_inside_or_not_in_order_is_refused(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4", range(10))
    assert list(pick_frames(path, [])) == []
    for wrong in ([3, 2], [-1], [10]):
        with fails(ValueError, "clip.mp4", "0..9"):
            list(pick_frames(path, wrong))
