"""Looking before leaping: one moment, who is there, and what it would cost."""

from fractions import Fraction

import numpy as np
import pytest

from core.errors import BadValue, NoFace
from lipsync.inspect.dry_run import estimate
from lipsync.inspect.preview import contact_sheet, preview
from lipsync.jobs.job import Job
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from tests.helpers.failing import fails
from tests.helpers.prepared import prepared
from tests.helpers.talking_head import picture, talking
from video import probe, read_frames, write_video

SETTINGS = Settings(detector="haar", device="cpu", precision="fp32", cache=None)


@pytest.mark.slow
def test_a_preview_is_a_moment_of_the_result(checkpoint, folder, tmp_path):
    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "still.png")
    still = preview(checkpoint, SETTINGS, job, 0.4)
    render_job = prepared(LipSyncPipeline(checkpoint, SETTINGS), job)
    (whole,) = render_job.frames(10, 11)
    before = next(read_frames(folder / "person.mp4", start=10))
    assert np.array_equal(still[:, :256], before)
    assert np.abs(still[:, 256:].astype(int) - whole).max() <= 2 and (still[:, 256:] != before).any()
    for moment in (1.01, -1.0):
        with fails(BadValue, "--preview"):
            preview(checkpoint, SETTINGS, job, moment)


@pytest.mark.slow
def test_the_contact_sheet_shows_who_is_there_when(tmp_path):
    video = tmp_path / "clip.mp4"
    write_video(video, talking(60, range(20, 40)), Fraction(25), preset="ultrafast")
    sheet, lines = contact_sheet(video, SETTINGS)
    assert lines == ["index:0  0:00.0-0:00.8, 0:01.6-0:02.4"]
    assert sheet.dtype == np.uint8 and sheet.shape[0] > 100 and len(np.unique(sheet)) > 50
    write_video(video, (np.full((96, 96, 3), 90, np.uint8) for _ in range(5)), Fraction(25))
    with fails(NoFace, "clip.mp4"):
        contact_sheet(video, SETTINGS)


@pytest.mark.slow
def test_a_dry_run_says_what_and_how_long_and_writes_nothing(checkpoint, folder, tmp_path):
    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "out" / "result.mp4")
    found = estimate(
        LipSyncPipeline(checkpoint, Settings(detector="haar", device="cpu", start=0.2, end=0.6, cache=None)), job
    )
    assert (found.plan.frames, found.edited) == (25, (5, 15))
    assert set(found.seconds) == {"detect", "read", "generate", "encode"} and all(found.seconds.values())
    assert found.memory > 100 * 2**20
    said = found.table()
    assert "haar" in said and "256x192" in said and "25 frames" in said and "from 0.20 s to 0.60 s" in said
    assert not any(tmp_path.iterdir())
    fixed = estimate(LipSyncPipeline(checkpoint, Settings(device="cpu", box=(0, 90, 0, 90), cache=None)), job)
    assert not fixed.seconds["detect"] and "fixed" in fixed.table()


def test_portraits_of_two_people(tmp_path):
    video = tmp_path / "two.mp4"
    pair = np.concatenate([picture(), picture()[:, ::-1, ::-1]], axis=1)
    write_video(video, (pair for _ in range(10)), Fraction(25), preset="ultrafast")
    sheet, lines = contact_sheet(video, SETTINGS)
    assert len(lines) == 2 and sheet.shape[0] == 2 * 144 and probe(video).frames == 10
