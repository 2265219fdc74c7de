"""Where no mouth can be made well the original stays, without a pop, the same for every process, and it is said."""

from copy import copy
from fractions import Fraction

import numpy as np
import pytest

from face_detection.alignment import POINTS, TALL, TEMPLATE
from face_detection.landmarks import Found
from lipsync.jobs.job import Job, unfit_sentence
from lipsync.jobs.runner import dub
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from tests.helpers.prepared import prepared
from tests.helpers.talking_head import picture
from video import read_frames, write_video

SETTINGS = Settings(
    detector="haar", device="cpu", precision="fp32", batch=8, cache=None, length="video", reference="first_frame"
)
BRIGHT = 235  # of a corner of the picture: the sign by which the finder below knows a frame
AWAY = range(14, 22)


class Looking:
    """Says that the face looks to the side in frames with the sign."""

    asked = 0

    def find(self, frame, box):
        self.asked += 1
        points = np.array(list(TEMPLATE.values())) * box.width + [box.x0, box.centre[1] - TALL * box.width / 2]
        points[POINTS.index(4), 0] += box.width * (0.5 if frame[:8, :8].mean() > BRIGHT - 20 else 0)
        return Found(points.astype(np.float32), np.full(len(POINTS), 0.004, np.float32))


@pytest.fixture
def pipeline(checkpoint):
    pipeline = LipSyncPipeline(checkpoint, SETTINGS)
    pipeline.models.landmarks = Looking()
    return pipeline


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    def frames():
        for k in range(36):
            frame = picture(k // 2)
            frame[:16, :16] = BRIGHT if k in AWAY else 20
            yield frame

    path = tmp_path_factory.mktemp("turning") / "turning.mp4"
    write_video(path, frames(), Fraction(25), crf=8)
    return path


def spoken(pipeline, video, words, **changes):
    """The frames of the result, those of the video, the report, and how to make any stretch of it."""
    pipeline = pipeline.adjusted(**changes)
    render_job = prepared(pipeline, Job(video, words, video.parent / "unused.mp4"))
    frames = np.stack(list(render_job.frames())).astype(int)
    before = np.stack(list(read_frames(video))).astype(int)
    return frames, before, render_job.report(), render_job


@pytest.mark.slow
def test_the_edit_fades_to_the_original_and_back_and_any_stretch_as_the_whole(pipeline, video, folder):
    faded, before, report, render_job = spoken(pipeline, video, folder / "words.wav")
    for start, stop in ((8, 12), (11, 25), (20, 36), (16, 18)):
        assert np.array_equal(np.stack(list(render_job.frames(start, stop))), faded[start:stop])
    forced, *_ = spoken(pipeline, video, folder / "words.wav", strict_pose="force")
    assert report.unfit == [(14, 21, "turned away")] and report.edited == 28
    assert "turned away in  14-21" in report.table()
    assert np.array_equal(faded[14:22], before[14:22])
    assert np.array_equal(faded[:9], forced[:9]) and np.array_equal(faded[27:], forced[27:])
    shares = [np.abs(faded[k] - before[k]).sum() / np.abs(forced[k] - before[k]).sum() for k in range(8, 28)]
    assert (np.diff(shares[:7]) < 0).all() and (np.diff(shares[13:]) > 0).all()
    assert np.abs(np.diff(shares)).max() < 0.35
    untouched = (forced == before).all(axis=3)
    assert (faded == before).all(axis=3)[untouched].all()


@pytest.mark.slow
def test_keep_leaves_just_those_frames_and_force_none(pipeline, video, folder):
    kept, before, report, _ = spoken(pipeline, video, folder / "words.wav", strict_pose="keep")
    asked = pipeline.models.landmarks.asked
    forced, _, all_made, _ = spoken(pipeline, video, folder / "words.wav", strict_pose="force")
    assert report.unfit == [(14, 21, "turned away")] and report.edited == 28
    assert np.array_equal(kept[14:22], before[14:22])
    assert np.array_equal(kept[:14], forced[:14]) and np.array_equal(kept[22:], forced[22:])
    assert all_made.unfit == [] and all_made.edited == 36
    assert pipeline.models.landmarks.asked == asked == 36  # who forces asks for no points


@pytest.mark.slow
def test_an_aligned_face_fades_at_the_same_frames(pipeline, video, folder):
    pipeline = copy(pipeline)
    pipeline.models.synthesizer.framing = "aligned"
    faded, before, report, _ = spoken(pipeline, video, folder / "words.wav")
    assert report.unfit == [(14, 21, "turned away")] and np.array_equal(faded[14:22], before[14:22])
    assert (faded[13] != before[13]).any() and (faded[22] != before[22]).any()


@pytest.mark.slow
def test_a_box_that_is_given_is_not_judged(pipeline, video, folder):
    _, _, report, _ = spoken(pipeline, video, folder / "words.wav", box=(40.0, 150.0, 60.0, 160.0))
    assert report.edited == 36 and pipeline.models.landmarks.asked == 0


@pytest.mark.slow
def test_it_is_said_in_a_sentence(pipeline, video, folder, tmp_path, capsys):
    report = dub(pipeline, Job(video, folder / "words.wav", tmp_path / "result.mp4"))
    said = [line for line in capsys.readouterr().err.splitlines() if "--strict_pose force" in line]
    assert len(said) == 1 and "turned away in 14-21" in said[0] and report.edited == 28
    assert unfit_sentence(video, []) is None
    many = unfit_sentence(video, [(k, k + 3, "turned away") for k in range(0, 80, 10)])
    assert "in 40-43, 3 more" in many and "50-53" not in many
