"""A result is made by several threads, which end with it, however it ends; its files are those of one thread."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import BadInput, OutOfMemory, Stopped
from lipsync.cli.main import generate
from lipsync.jobs.job import Job, Report
from lipsync.jobs.runner import dub
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering.render_job import STAGES, RenderJob
from lipsync.rendering.renderer import Synthesizer
from lipsync.settings import Settings
from tests.helpers.failing import fails
from tests.helpers.prepared import prepared

SETTINGS = Settings(box=(20, 110, 90, 180), device="cpu", precision="fp32", batch=8, cache=None)


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    yield
    assert not {thread.name for thread in threading.enumerate()} & set(STAGES)


@pytest.fixture(scope="module")
def pipeline(checkpoint: Path) -> LipSyncPipeline:
    return LipSyncPipeline(checkpoint, SETTINGS)


@pytest.fixture
def job(folder: Path, tmp_path: Path) -> Job:
    return Job(folder / "person.mp4", folder / "words.wav", tmp_path / "out" / "result.mp4")


@pytest.mark.slow
def test_the_files_are_those_that_one_thread_makes(pipeline: LipSyncPipeline, job: Job, tmp_path: Path) -> None:
    render_job = prepared(pipeline, job)
    files = [(tmp_path / f"{first}.mp4", (first, last)) for first, last in ((3, 16), (16, 25))]
    counted: list[int] = []
    render_job.write(files, pipeline.frame_source, lambda: counted.append(1))
    frames = render_job.frames(3, 25)
    for path, (first, last) in files:
        alone = tmp_path / "alone.mp4"
        render_job.encode(alone, islice(frames, last - first))
        assert path.read_bytes() == alone.read_bytes()
    assert len(counted) == 22


@pytest.mark.slow
def test_the_report_says_who_waited_and_for_whom(pipeline: LipSyncPipeline, job: Job) -> None:
    report = dub(pipeline, job)
    assert set(report.waited) == set(STAGES) <= set(report.seconds)
    assert report.waited[str(report.bottleneck)] == min(report.waited.values())
    assert 0 < report.elapsed <= sum(report.seconds.values()) + 0.5
    table = report.table()
    assert table.count(", the bottleneck") == 1 and "waited" in table
    assert Report(1, 1, []).bottleneck is None


def broken(monkeypatch: pytest.MonkeyPatch, where: str, problem: BaseException, at: int = 12) -> None:
    """The stage raises when it comes to frame `at`."""
    original = getattr(RenderJob, where)
    calls: list[int] = []

    def fails(self: RenderJob, *given: object, **named: object) -> object:
        calls.append(1)
        if where != "_composited" or len(calls) == at:
            raise problem
        return original(self, *given, **named)

    monkeypatch.setattr(RenderJob, where, fails)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["_cut", "_spoken", "_composited", "encode"])
@pytest.mark.parametrize("problem", [BadInput("the disk is full"), MemoryError(), ZeroDivisionError()])
def test_what_goes_wrong_in_any_thread_is_raised_here_and_leaves_nothing(
    pipeline: LipSyncPipeline, job: Job, monkeypatch: pytest.MonkeyPatch, where: str, problem: Exception
) -> None:
    broken(monkeypatch, where, problem)
    with pytest.raises(type(problem)):
        dub(pipeline, job)
    assert list(job.output.parent.iterdir()) == []


def test_the_video_that_breaks_off_ends_it(
    pipeline: LipSyncPipeline, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(self: object, *given: object) -> Iterator[np.ndarray]:
        yield np.zeros((120, 226, 3), np.uint8)
        raise BadInput("damaged after 0.0 s")

    monkeypatch.setattr("lipsync.planning.timeline.Plan.read", torn)
    with fails(BadInput, "0.0 s"):
        dub(pipeline, job)
    assert list(job.output.parent.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_handed_to_the_encoder(
    pipeline: LipSyncPipeline, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("video.encoding", "lipsync.jobs.chunks"):
        monkeypatch.setattr(f"{place}.CHUNK", 8)
    calls: list[int] = []
    speak = Synthesizer.__call__

    def interrupted(self: Synthesizer, *given: object) -> np.ndarray:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return speak(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Synthesizer, "__call__", interrupted)
    with pytest.raises(Stopped):
        dub(pipeline, job)
    assert sorted(path.name for path in job.output.parent.rglob("*.mp4")) == [
        "00000000-00000008.mp4", "00000008-00000016.mp4",
    ]  # fmt: skip


@pytest.mark.slow
def test_memory_that_lacks_is_asked_for_in_halves_as_ever(
    checkpoint: Path, job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checked, most = Synthesizer.sample, [2]

    def full(self: Synthesizer, clips):  # type: ignore[no-untyped-def]
        if clips.faces.shape[1] > most[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return checked(self, clips)

    monkeypatch.setattr(Synthesizer, "sample", full)
    assert dub(LipSyncPipeline(checkpoint, SETTINGS), job).batch == 2
    assert "going on with 2 frames at a time" in capsys.readouterr().err
    most[0] = 0
    with pytest.raises(OutOfMemory):
        dub(LipSyncPipeline(checkpoint, SETTINGS), replace(job, output=job.output.with_name("other.mp4")))


@pytest.mark.slow
def test_a_profile_shows_each_stage_in_its_thread(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    profile = tmp_path / "new" / "profile.json"
    code = generate(
        ["--video", str(folder / "person.mp4"), "--audio", str(folder / "words.wav"), "--device", "cpu",
         "--box", "20", "110", "90", "180", "--model_path", str(checkpoint), "--profile", str(profile),
         "--output", str(tmp_path / "result.mp4")]
    )  # fmt: skip
    assert code == 0
    events = json.loads(profile.read_text())["traceEvents"]
    threads = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    at = {(threads[event["tid"]], event["name"]) for event in events if event["ph"] == "X"}
    assert {
        ("MainThread", "load"), ("read", "read"), ("read", "cut"), ("MainThread", "generate"), ("paste", "paste"),
        ("encode", "encode"),
    } <= at  # fmt: skip
    for thread in threads:  # stretches of one thread do not overlap, else no viewer shows them
        own = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X" and e["tid"] == thread)
        assert all(end <= start + 1 for (_, end), (start, _) in pairwise(own))


def test_a_profile_that_cannot_be_written_is_refused_before_any_work(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = generate(
        ["--video", str(folder / "person.mp4"), "--audio", str(folder / "words.wav"), "--model_path", str(checkpoint),
         "--profile", str(tmp_path), "--output", str(tmp_path / "out" / "result.mp4")]
    )  # fmt: skip
    assert code == 2 and "--profile" in capsys.readouterr().err and not (tmp_path / "out").exists()
