"""Whose face: what must be searched to know it, and what is known where nothing was."""

from fractions import Fraction

import numpy as np
import pytest

from lipsync.jobs.job import Job
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from tests.helpers.prepared import prepared, selector
from tests.helpers.talking_head import talking, tone
from video import probe, read_frames, write_video

SETTINGS = Settings(detector="haar", device="cpu", precision="fp32", batch=8, cache=None, length="video")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A video of more frames than one search looks at, and a word."""
    here = tmp_path_factory.mktemp("long")
    write_video(here / "long.mp4", talking(170), Fraction(25), preset="ultrafast")
    return here / "long.mp4", tone(here / "word.wav", 0.2)


@pytest.mark.slow
def test_a_face_is_nowhere_where_it_was_not_searched(checkpoint, long):
    track = selector(LipSyncPipeline(checkpoint, SETTINGS), probe(long[0])).track("largest", 100, 102)
    assert len(track) == 170 and np.flatnonzero(track.present).tolist() == list(range(80, 160))


@pytest.mark.slow
@pytest.mark.parametrize("edit", [{"end": 0.2}, {"start": 3.4, "end": 3.6}])
def test_all_frames_beside_a_short_edit_pass_untouched(checkpoint, long, edit):
    pipeline = LipSyncPipeline(checkpoint, Settings(**vars(SETTINGS) | edit))
    render_job = prepared(pipeline, Job(*long, long[0].with_name("unused.mp4")))
    first = round(edit.get("start", 0) * 25)
    assert render_job.edited == 5
    for k, (before, after) in enumerate(zip(read_frames(long[0]), render_job.frames(), strict=True)):
        assert np.array_equal(before, after) != (first <= k < first + 5), k


@pytest.mark.slow
def test_a_moment_that_points_at_a_face_is_searched_too(checkpoint, long):
    faces = selector(LipSyncPipeline(checkpoint, SETTINGS), probe(long[0]))
    assert faces.span("point:9,9", 90, 95) == faces.span("largest", 90, 95) == (90, 95)
    assert faces.span("point:9,9@4", 90, 95) == (90, 101) and faces.span("point:9,9@0.4", 90, 95) == (10, 95)
    assert faces.span("point:9,9@60", 90, 95) == (90, 170) and faces.span("index:0", 90, 95) == (0, 170)


@pytest.mark.slow
def test_faces_are_aligned_for_a_checkpoint_that_wants_it_and_only_then(checkpoint, long):
    from face_detection.alignment import POINTS, TALL, TEMPLATE
    from face_detection.landmarks import Found

    class Tilted:
        """Says that every face is tilted by 20 degrees around the middle of its box."""

        asked = 0

        def find(self, frame, box):
            self.asked += 1
            shares = (np.array(list(TEMPLATE.values())) - [0.5, TALL / 2]) * 40
            turn = np.radians(20)
            places = shares @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            return Found((places + box.centre).astype(np.float32), np.full(len(POINTS), 0.01, np.float32))

    pipeline = LipSyncPipeline(checkpoint, SETTINGS)
    plain = selector(pipeline, probe(long[0])).track("largest", 0, 40)
    assert plain.angles is None
    pipeline.models.synthesizer.framing, pipeline.models.landmarks = "aligned", Tilted()
    faces = selector(pipeline, probe(long[0]))
    track = faces.track("largest", 0, 40)
    assert len(track.angles) == len(track) and np.array_equal(track.present, plain.present)
    for k in (0, 20, 39):
        box = track.box(k)
        assert box.angle == pytest.approx(20, abs=0.1) and box.width == pytest.approx(40, abs=0.1)
        assert box.centre == pytest.approx(plain.box(k).centre, abs=1.5)
    fixed = LipSyncPipeline(checkpoint, Settings(**vars(SETTINGS) | {"box": (10.0, 150.0, 60.0, 200.0)}))
    fixed.models.synthesizer.framing, fixed.models.landmarks = "aligned", Tilted()
    track = selector(fixed, probe(long[0])).track("largest", 100, 110)
    assert np.flatnonzero(track.present).tolist() == list(range(100, 110))
    assert fixed.models.landmarks.asked == 10  # not of all 170 frames
