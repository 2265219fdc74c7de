"""What a dry run says of a style model: whose manner it is takes time to see, and so does what the lips do."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.inspect import dry_run as estimate
from lipsync.jobs.job import Job
from lipsync.jobs.runner import dub
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from tests.helpers.talking_head import talking, tone
from tests.helpers.tiny_style import save
from video import write_video


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> LipSyncPipeline:
    settings = Settings(detector="haar", device="cpu", precision="fp32", steps="1", cache=None)
    return LipSyncPipeline(save(tmp_path_factory.mktemp("model")), settings)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    words = tone(tmp_path / "words.wav", 0.8)
    write_video(tmp_path / "person.mp4", talking(20), Fraction(25), sound=words)
    return Job(tmp_path / "person.mp4", words, tmp_path / "result.mp4")


@pytest.mark.slow
def test_stage_1_is_a_stage_of_the_estimate_as_of_the_report(pipeline: LipSyncPipeline, job: Job) -> None:
    found = estimate.estimate(pipeline, job)
    assert found.seconds["motion"] > 0 and "motion" in found.table() and not job.output.exists()
    assert found.seconds.keys() <= dub(pipeline, job).seconds.keys()


@pytest.mark.slow
def test_it_costs_what_is_read_and_what_is_said(
    pipeline: LipSyncPipeline, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second(work: Callable[[], object]) -> float:
        work()
        return 1.0

    def motion(**changes: Path) -> float:
        return estimate.estimate(pipeline, replace(job, **changes)).seconds["motion"]

    monkeypatch.setattr(estimate, "_seconds", second)
    here = job.video.parent
    own, look, read, hear = motion(), 1 / 8, 1 / 8, 1 / 100  # a second for each probe, of 8 frames or of twice 50
    assert own == pytest.approx((look + read) * 20 + hear * (20 + 20))
    write_video(here / "style.mp4", talking(36), Fraction(30), sound=job.audio)
    style = (look + look + look) * 36 + read * 30  # decoded, searched, decoded again; 25 faces of a second are read
    assert motion(style=here / "style.mp4") == pytest.approx((look + read) * 20 + style + hear * (20 + 30))
    (here / "two.csv").write_text("start,end\n0,0.4\n0.4,0.8\n")
    assert motion(segments=here / "two.csv") == pytest.approx((look + read) * 40 + hear * (10 + 20 + 20 + 20))
    np.savez(here / "lips.npz", motion=np.zeros((20, 4), np.float32), fps=25.0)
    assert motion(motion_in=here / "lips.npz") == 0
