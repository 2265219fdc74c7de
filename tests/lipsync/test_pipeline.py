"""From files to files: every promise that a result makes."""

import wave
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from audio import read_sound
from core.errors import BadValue, Mismatch, NoFace
from face_detection import Box, FaceTrack
from lipsync.jobs.job import Job
from lipsync.jobs.runner import dub
from lipsync.jobs.shared_detection import search_together
from lipsync.pipeline import LipSyncPipeline
from lipsync.planning.references import References
from lipsync.planning.timeline import Plan
from lipsync.planning.turns import SpeakerTurn
from lipsync.settings import Settings
from tests.helpers.failing import fails
from tests.helpers.prepared import prepared, selector
from tests.helpers.talking_head import PORTRAIT, picture, talking, tone
from video import CHUNK, join, probe, read_frames, write_video

SETTINGS = Settings(detector="haar", device="cpu", precision="fp32", batch=8, cache=None)


@pytest.fixture(scope="module")
def pipeline(checkpoint):
    return LipSyncPipeline(checkpoint, SETTINGS)


def spoken(pipeline, video, audio, **changes):
    """The result's frames before they are encoded, the frames of the video, the report."""
    pipeline = pipeline.adjusted(**changes)
    render_job = prepared(pipeline, Job(video, audio, video.parent / "unused.mp4"))
    frames = np.stack(list(render_job.frames()))
    return frames, np.stack(list(read_frames(video))), render_job.report()


@pytest.mark.slow
def test_frames_sound_and_time(pipeline, folder, tmp_path):
    output = tmp_path / "neuer Ordner" / "result.mp4"
    report = dub(pipeline, Job(folder / "person.mp4", folder / "words.wav", output))
    info = probe(output)
    assert (info.frames, info.fps, info.audio) == (25, 25, True)
    assert (report.frames, report.edited, report.missing, report.batch) == (25, 25, [], 8)
    assert "edited" in report.table()
    before, after = read_sound(folder / "words.wav").samples, read_sound(output).samples
    assert 0 <= len(after) - len(before) < 1024  # AAC comes in packets of 1024
    assert np.corrcoef(before, after[: len(before)])[0, 1] > 0.99


@pytest.mark.slow
def test_native_rate_is_kept_and_another_one_keeps_the_time(pipeline, folder, tmp_path):
    video, ntsc = tmp_path / "ntsc.mp4", Fraction(30000, 1001)
    write_video(video, talking(10), ntsc)
    dub(pipeline, Job(video, folder / "words.wav", tmp_path / "out.mp4"))
    assert (probe(tmp_path / "out.mp4").fps, probe(tmp_path / "out.mp4").frames) == (ntsc, 30)
    dub(pipeline.adjusted(fps=Fraction(25)), Job(video, folder / "words.wav", tmp_path / "pal.mp4"))
    assert (probe(tmp_path / "pal.mp4").fps, probe(tmp_path / "pal.mp4").frames) == (25, 25)


@pytest.mark.slow
def test_only_the_mouth_half_changes(pipeline, folder):
    after, before, _ = spoken(pipeline, folder / "person.mp4", folder / "words.wav", length="video")
    track = selector(pipeline, probe(folder / "person.mp4")).track("largest", 0, 20)
    changed = (after != before).any(axis=3)
    for k in range(20):
        rows, columns = np.where(changed[k])
        x0, y0, x1, y1 = track.boxes[k]
        assert (y0 + y1) / 2 <= rows.min() + 1 and rows.max() <= y1 and x0 <= columns.min() + 1 and columns.max() <= x1
        assert len(rows) > 0.1 * (x1 - x0) * (y1 - y0)


@pytest.mark.slow
def test_the_mouth_follows_the_sound_and_the_seed(pipeline, folder, tmp_path):
    other = tone(tmp_path / "other.wav", 1.0, pitch=900)
    one, _, _ = spoken(pipeline, folder / "person.mp4", folder / "words.wav", length="video")
    again, _, _ = spoken(pipeline, folder / "person.mp4", folder / "words.wav", length="video")
    two, _, _ = spoken(pipeline, folder / "person.mp4", other, length="video")
    assert np.array_equal(one, again)
    assert not np.array_equal(one, two)


@pytest.mark.slow
def test_a_stretch_is_the_same_wherever_the_work_begins(pipeline, folder):
    render_job = prepared(pipeline, Job(folder / "person.mp4", folder / "words.wav", folder / "unused.mp4"))
    whole = np.stack(list(render_job.frames()))
    for start, stop in ((0, 3), (3, 17), (16, 25), (20, 21)):
        assert np.array_equal(np.stack(list(render_job.frames(start, stop))), whole[start:stop])


@pytest.mark.slow
def test_segments_joined_are_the_whole(pipeline, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("video.encoding.CHUNK", 8)
    assert CHUNK % 8 == 0
    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "whole.mp4")
    dub(pipeline, job)
    render_job = prepared(pipeline, job)
    parts = [tmp_path / f"{start}.mp4" for start in (0, 8, 24)]
    store = SimpleNamespace(path=lambda chunk: tmp_path / f"{chunk[0]}.mp4")
    pipeline.render(render_job, store, [[(0, 8), (8, 24)], [(24, 25)]])
    assert join(parts, tmp_path / "joined.mp4", render_job.plan.fps, sound=folder / "words.wav") == 25
    pairs = zip(read_frames(tmp_path / "joined.mp4"), read_frames(tmp_path / "whole.mp4"), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_frames_without_a_face_pass_untouched_and_are_reported(pipeline, folder, tmp_path):
    video = tmp_path / "gap.mp4"
    write_video(video, talking(40, range(10, 30)), Fraction(25))
    after, before, report = spoken(pipeline, video, folder / "words.wav", length="video")
    assert report.missing == [(10, 29)] and report.edited == 20
    assert np.array_equal(after[10:30], before[10:30])
    assert (after[:10] != before[:10]).any() and (after[30:] != before[30:]).any()
    with fails(NoFace, "gap.mp4", "10-29"):
        spoken(pipeline, video, folder / "words.wav", length="video", on_no_face="error")


@pytest.mark.slow
def test_only_the_edit_from_start_to_end_is_touched(pipeline, folder):
    after, before, report = spoken(
        pipeline, folder / "person.mp4", folder / "words.wav", length="video", start=0.2, end=0.52
    )
    changed = (after != before).any(axis=(1, 2, 3))
    assert np.flatnonzero(changed).tolist() == list(range(5, 13)) and report.edited == 8
    whole, _, _ = spoken(pipeline, folder / "person.mp4", folder / "words.wav", length="video")
    assert np.array_equal(after[5:13], whole[5:13])
    with fails(BadValue, "--start"):
        spoken(pipeline, folder / "person.mp4", folder / "words.wav", start=3.0)


@pytest.mark.slow
def test_only_what_is_edited_is_searched(pipeline, folder, tmp_path, monkeypatch):
    video = tmp_path / "long.mp4"
    write_video(video, talking(170), Fraction(25), preset="ultrafast")
    info = probe(video)
    faces = selector(pipeline, info)
    faces.track("largest", 100, 102)
    assert faces.finder.missing(0, 170) == [(0, 80), (160, 170)]


@pytest.mark.slow
def test_the_search_may_be_shared_out(pipeline, folder, tmp_path):
    video = tmp_path / "long.mp4"
    write_video(video, talking(170), Fraction(25), preset="ultrafast")
    job = Job(video, folder / "words.wav", tmp_path / "o.mp4")
    one, other = (pipeline.adjusted(cache=tmp_path / "cache", face="index:0").plan(job) for _ in range(2))
    assert one.blocks == other.blocks == [(0, 80), (80, 160), (160, 170)]
    search_together(one.media.faces.finder, one.blocks[:2], one.blocks[:2])
    search_together(other.media.faces.finder, other.blocks, other.blocks[2:])  # waits for nothing: the others are there
    assert other.media.faces.finder.missing(0, 170) == []
    shared = pipeline.prepare(other).turns[0].track
    assert np.array_equal(shared.boxes, prepared(pipeline.adjusted(face="index:0"), job).turns[0].track.boxes)
    assert pipeline.adjusted(box=(0.0, 9.0, 0.0, 9.0)).plan(job).blocks == []


@pytest.mark.slow
def test_nobody_is_waited_for_in_vain(pipeline, folder, tmp_path, caplog):
    job_plan = pipeline.adjusted(cache=tmp_path / "cache").plan(
        Job(folder / "person.mp4", folder / "words.wav", tmp_path / "o.mp4")
    )
    search_together(job_plan.media.faces.finder, job_plan.blocks, [], patience=0.1)
    assert "searching on alone" in caplog.text and job_plan.media.faces.finder.missing(0, 20) == [(0, 20)]


@pytest.mark.slow
def test_who_makes_a_stretch_alone_makes_it_as_who_makes_all(pipeline, folder, tmp_path):
    """Only the references of the shots in it are read, and no frame changes."""
    video = tmp_path / "cut.mp4"
    write_video(video, (f[:, ::-1] if k >= 20 else f for k, f in enumerate(talking(40))), Fraction(25))
    job = Job(video, tone(tmp_path / "long.wav", 1.6), tmp_path / "o.mp4")
    whole, part = prepared(pipeline, job), prepared(pipeline, job, stretches=[(24, 32)])
    assert len(whole.turns[0].references.crops) > len(part.turns[0].references.crops) > 0
    assert np.array_equal(list(whole.frames(24, 32)), list(part.frames(24, 32)))
    assert len(prepared(pipeline, job, stretches=[]).turns[0].references.crops) == 0


@pytest.mark.slow
def test_a_still_picture_is_a_video_of_one_frame(pipeline, folder, tmp_path):
    dub(pipeline, Job(PORTRAIT, folder / "words.wav", tmp_path / "out.mp4"))
    assert probe(tmp_path / "out.mp4").frames == 25


@pytest.mark.slow
def test_a_fixed_box_needs_no_detector(pipeline, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("lipsync.models.load_detector", None)
    video = tmp_path / "crop.mp4"
    write_video(video, (picture()[:160, 60:220] for _ in range(5)), Fraction(25))
    for changes in ({"fixed_crop": True}, {"box": (10.0, 120.0, 30.0, 120.0)}):
        fixed = pipeline.adjusted(**changes, detector="yunet")
        dub(fixed, Job(video, folder / "words.wav", tmp_path / "out.mp4"))
        assert probe(tmp_path / "out.mp4").frames == 25
    track = selector(fixed, probe(video)).track("largest", 0, 5)
    assert track.box(0) == Box(30, 10, 120, 120)


@pytest.mark.slow
def test_pads_make_the_cut_larger(pipeline, folder):
    info = probe(folder / "person.mp4")
    plain = selector(pipeline, info).track("largest", 0, 20)
    padded = selector(pipeline.adjusted(pads=(1.0, 10.0, 3.0, 4.0)), info).track("largest", 0, 20)
    assert np.allclose(padded.boxes - plain.boxes, [-3, -1, 4, 10], atol=1e-3)
    with fails(BadValue, "--pads"):
        selector(pipeline.adjusted(pads=(-90.0, -90.0, 0.0, 0.0)), info).track("largest", 0, 20)


@pytest.mark.slow
def test_what_is_heard_may_be_another_sound(pipeline, folder, tmp_path):
    heard = tone(tmp_path / "heard.wav", 0.6, pitch=500)
    job = Job(folder / "person.mp4", folder / "words.wav", tmp_path / "out.mov", heard=heard)
    dub(pipeline, job)
    assert probe(job.output).frames == 25
    assert np.allclose(read_sound(job.output).samples[:9600], read_sound(heard).samples, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("silence", ["model", "close", "original"])
def test_the_mouth_in_silence(pipeline, folder, tmp_path, silence):
    """Words for 0.4 s, then a second of silence; the face stands still."""
    tone(tmp_path / "words.wav", 0.4)
    with wave.open(str(tmp_path / "words.wav")) as file:
        words = file.readframes(file.getnframes())
    with wave.open(str(tmp_path / "padded.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(words + bytes(2 * 16000))
    after, before, report = spoken(
        pipeline, folder / "person.mp4", tmp_path / "padded.wav", first_frame=True, silence=silence
    )
    untouched = [bool((frame == before[0]).all()) for frame in after]
    assert len(after) == 35 and not any(untouched[:10])
    assert all(untouched[20:]) == any(untouched) == (silence == "original")
    assert report.edited == 35 - sum(untouched)
    assert np.array_equal(after[25], after[30])


@pytest.mark.slow
def test_no_picture_is_never_written(pipeline, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline.models.synthesizer, "sampler", lambda clips: clips.faces * float("nan"))
    with fails(Mismatch, "tiny.safetensors", "--model_path"):
        dub(pipeline, Job(folder / "person.mp4", folder / "words.wav", tmp_path / "out.mp4"))
    assert not any(tmp_path.iterdir())


def test_settings_of_the_loaded_model_cannot_be_adjusted(pipeline):
    assert pipeline.adjusted(seed=7, length="video").models is pipeline.models
    with fails(ValueError, "seed"):
        pipeline.adjusted(seed=8)


@pytest.mark.slow
def test_memory_is_bounded(pipeline, folder, monkeypatch):
    """However long the result, at most two batches of frames are alive."""
    alive, most = 0, 0

    class Counted(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= self.base is None

    def frames(path, **_):
        nonlocal alive, most
        for _ in range(200):
            frame = np.ndarray.__new__(Counted, (192, 256, 3), np.uint8)
            frame[:] = 0
            alive += 1
            most = max(most, alive)
            yield frame

    render_job = prepared(pipeline, Job(folder / "person.mp4", folder / "words.wav", folder / "unused.mp4"))
    monkeypatch.setattr("lipsync.planning.timeline.read_frames", frames)
    monkeypatch.setattr(type(pipeline.models.synthesizer), "__call__", lambda self, slots, shown: shown.faces)
    turn = render_job.turns[0]
    box = FaceTrack.fixed(200, Box(20, 20, 90, 90))
    own = References(turn.references.crops[:0], np.full(200, -1))
    turns = [SpeakerTurn(0, 200, 0, box, own, turn.mel)]
    settings = replace(render_job.settings, detail=0.0)  # which would look at other frames of the real video
    render_job = replace(render_job, plan=Plan(200, 200, "hold"), turns=turns, settings=settings)
    assert sum(1 for _ in render_job.frames()) == 200
    assert most <= 2 * pipeline.models.synthesizer.grid + 2
