"""A result that is ended half-way goes on from its finished chunks, and never from those of other settings."""

import os
from dataclasses import replace
from fractions import Fraction
from itertools import count

import numpy as np
import pytest

from core.errors import Stopped, Unreadable
from guided_diffusion.engine.distributed import Group
from lipsync.jobs.cache_key import cache_key
from lipsync.jobs.chunks import ChunkStore, chunk_ranges
from lipsync.jobs.job import Job
from lipsync.jobs.runner import JobRunner, dub
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from tests.helpers.failing import fails
from tests.helpers.talking_head import talking, tone
from video import probe, read_frames, write_video

SETTINGS = Settings(box=(20, 110, 90, 180), device="cpu", precision="fp32", batch=8, cache=None)


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    monkeypatch.setattr("video.encoding.CHUNK", 8)
    monkeypatch.setattr("lipsync.jobs.chunks.CHUNK", 8)


@pytest.fixture(scope="module")
def pipeline(checkpoint):
    return LipSyncPipeline(checkpoint, SETTINGS)


@pytest.fixture
def job(folder, tmp_path):
    return Job(folder / "person.mp4", folder / "words.wav", tmp_path / "out" / "result [1].mp4")


@pytest.fixture(scope="module")
def whole(pipeline, folder, tmp_path_factory):
    """The frames of an undisturbed run."""
    output = tmp_path_factory.mktemp("whole") / "whole.mp4"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("video.encoding.CHUNK", 8)
        patch.setattr("lipsync.jobs.chunks.CHUNK", 8)
        dub(pipeline, Job(folder / "person.mp4", folder / "words.wav", output))
    return np.stack(list(read_frames(output)))


def interrupted(monkeypatch, pipeline, at, problem):
    """The pipeline's synthesizer fails when it is called for the `at`-th time."""
    calls, speak = count(1), type(pipeline.models.synthesizer).__call__

    def fails(self, *given):
        if next(calls) == at:
            raise problem
        return speak(self, *given)

    monkeypatch.setattr(type(pipeline.models.synthesizer), "__call__", fails)


def made(job):
    return sorted(path.name for path in job.output.parent.rglob("*.mp4"))


@pytest.mark.slow
def test_what_was_made_before_it_was_stopped_is_not_made_again(pipeline, job, whole, monkeypatch):
    with monkeypatch.context() as patch:
        interrupted(patch, pipeline, 3, KeyboardInterrupt())
        with fails(Stopped, "the same command goes on"):
            dub(pipeline, job)
    assert made(job) == ["00000000-00000008.mp4", "00000008-00000016.mp4"] and not job.output.exists()
    interrupted(monkeypatch, pipeline, 3, AssertionError("frames were made twice"))
    report = dub(pipeline, job)
    assert (report.frames, report.edited) == (25, 25)
    assert np.array_equal(np.stack(list(read_frames(job.output))), whole) and probe(job.output).audio
    assert [path.name for path in job.output.parent.iterdir()] == [job.output.name]


def test_stopped_before_anything_is_finished_leaves_nothing(pipeline, job, monkeypatch):
    interrupted(monkeypatch, pipeline, 1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        dub(pipeline, job)
    assert list(job.output.parent.iterdir()) == []


@pytest.mark.slow
def test_segments_of_other_settings_are_not_used_and_go_with_the_result(pipeline, job, whole, monkeypatch):
    with monkeypatch.context() as patch:
        interrupted(patch, pipeline, 3, KeyboardInterrupt())
        with pytest.raises(Stopped):
            dub(pipeline.adjusted(feather=0.2), job)
    dub(pipeline, job)
    assert np.array_equal(np.stack(list(read_frames(job.output))), whole)
    assert [path.name for path in job.output.parent.iterdir()] == [job.output.name]


@pytest.mark.slow
def test_a_hole_is_filled(pipeline, job, whole):
    parts = ChunkStore(job.output, cache_key(job, pipeline.settings, pipeline.models), "h264")
    with JobRunner(pipeline, job, keep=True) as runner:
        runner.prepare()
        runner.render()
        runner.finish()
    parts.path((8, 16)).unlink()
    parts.path((24, 25)).unlink()
    assert parts.missing(chunk_ranges(25)) == [[(8, 16)], [(24, 25)]]
    dub(pipeline, job)
    assert np.array_equal(np.stack(list(read_frames(job.output))), whole)


@pytest.mark.slow
def test_a_team_makes_what_one_makes(pipeline, job, whole, tmp_path):
    """Three of a team, one after the other, main last; the search goes through a cache of their own."""
    team = [JobRunner(pipeline, job, Group(rank, 3)) for rank in (2, 1, 0)]
    for runner in team:
        assert not runner.complete
        runner.prepare()
        runner.render()
    assert team[-1].complete
    team[-1].finish()
    assert np.array_equal(np.stack(list(read_frames(job.output))), whole)
    assert [path.name for path in job.output.parent.iterdir()] == [job.output.name]


@pytest.mark.slow
def test_a_team_that_lacks_one_is_not_complete(pipeline, job):
    (first, second) = (JobRunner(pipeline, job, Group(rank, 2)) for rank in (0, 1))
    first.prepare()
    first.render()
    assert not first.complete and second.store.missing(chunk_ranges(25)) == [[(16, 24), (24, 25)]]
    with fails(ValueError, "process"):
        second.finish()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["short", "torn"])
def test_a_damaged_segment_is_made_again(pipeline, job, whole, damage):
    with fails(Unreadable, "00000008-00000016.mp4"), JobRunner(pipeline, job) as runner:
        runner.prepare()
        runner.render()
        bad, short = runner.store.path((8, 16)), runner.store.path((24, 25))
        bad.write_bytes(short.read_bytes() if damage == "short" else bad.read_bytes()[:99])
        runner.finish()
    assert not job.output.exists() and not bad.exists() and short.exists()
    dub(pipeline, job)
    assert np.array_equal(np.stack(list(read_frames(job.output))), whole)


@pytest.mark.slow
def test_the_video_as_it_was_is_as_long_as_the_result(pipeline, job):
    source = job.output.with_name("before.mp4")
    with JobRunner(pipeline.adjusted(first_frame=True), job, original=source) as runner:
        runner.prepare()
        runner.render()
        runner.finish()
    assert probe(source).frames == probe(job.output).frames == 25 and probe(source).audio
    moves = np.stack(list(read_frames(source))).astype(int)
    assert np.abs(np.diff(moves, axis=0)).max() > 50  # of a still first frame, the source is the moving video


def test_what_is_heard_is_refused_before_anything_is_made(pipeline, job, tmp_path):
    (tmp_path / "silent.wav").write_text("no sound")
    with fails(Unreadable, "silent.wav"):
        dub(pipeline, replace(job, heard=tmp_path / "silent.wav"))
    assert not job.output.parent.exists()


def test_an_identity_is_of_all_that_matters_and_of_nothing_else(pipeline, job, folder, tmp_path):
    def key(job, pipeline):
        return cache_key(job, pipeline.settings, pipeline.models)

    same = key(job, pipeline)
    assert same == key(replace(job, output=tmp_path / "b.mp4"), pipeline.adjusted(cache=tmp_path, detector_batch=3))
    video, words = tmp_path / "v.mp4", tone(tmp_path / "w.wav", 0.2)
    write_video(video, talking(2), Fraction(25))
    segments = tmp_path / "segments.csv"
    segments.write_text(f"start,sound\n0,{words}\n")
    others = [
        key(replace(job, video=video), pipeline),
        key(replace(job, audio=words), pipeline),
        key(replace(job, heard=words), pipeline),
        key(replace(job, segments=segments), pipeline),
        key(job, pipeline.adjusted(crf=3)),
        key(job, pipeline.adjusted(box=None, detector="haar")),
    ]
    listed = others[3]
    os.utime(words, (1, 1))
    assert key(replace(job, segments=segments), pipeline) != listed
    assert len({same, *others}) == 7
