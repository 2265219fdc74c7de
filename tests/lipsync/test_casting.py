"""Whose face: what must be searched to know it, and what is known where nothing was."""

from fractions import Fraction

import numpy as np
import pytest
from talking_head import talking, tone

from lipsync.jobs import Job
from lipsync.pipeline import Dubber
from lipsync.settings import Settings
from video import probe, read_frames, write_video

SETTINGS = Settings(detector="haar", device="cpu", precision="fp32", batch=8, cache=None, length="video")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A video of more frames than one search looks at, and a word."""
    here = tmp_path_factory.mktemp("long")
    write_video(here / "long.mp4", talking(170), Fraction(25), preset="ultrafast")
    return here / "long.mp4", tone(here / "word.wav", 0.2)


def test_a_face_is_nowhere_where_it_was_not_searched(checkpoint, long):
    track = Dubber(checkpoint, SETTINGS).casting(probe(long[0])).track("largest", 100, 102)
    assert len(track) == 170 and np.flatnonzero(track.present).tolist() == list(range(80, 160))


@pytest.mark.parametrize("edit", [{"end": 0.2}, {"start": 3.4, "end": 3.6}])
def test_all_frames_beside_a_short_edit_pass_untouched(checkpoint, long, edit):
    dubber = Dubber(checkpoint, Settings(**vars(SETTINGS) | edit))
    dubbing = dubber.prepare(Job(*long, long[0].with_name("unused.mp4")))
    first = round(edit.get("start", 0) * 25)
    assert dubbing.edited == 5
    for k, (before, after) in enumerate(zip(read_frames(long[0]), dubbing.frames(), strict=True)):
        assert np.array_equal(before, after) != (first <= k < first + 5), k


def test_a_moment_that_points_at_a_face_is_searched_too(checkpoint, long):
    casting = Dubber(checkpoint, SETTINGS).casting(probe(long[0]))
    assert casting.span("point:9,9", 90, 95) == casting.span("largest", 90, 95) == (90, 95)
    assert casting.span("point:9,9@4", 90, 95) == (90, 101) and casting.span("point:9,9@0.4", 90, 95) == (10, 95)
    assert casting.span("point:9,9@60", 90, 95) == (90, 170) and casting.span("index:0", 90, 95) == (0, 170)
