"""From files to files: every promise that a result makes."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from talking_head import PORTRAIT, picture, talking, tone

from audio import read_sound
from errors import BadInput, NoFace
from face_detection import FaceTrack
from lipsync import pipeline
from lipsync.jobs import Job
from lipsync.pipeline import Dubber
from lipsync.references import References
from lipsync.settings import Settings
from video import probe, read_frames, write_video

SETTINGS = Settings(detector="haar", device="cpu", precision="fp32", batch=8)


@pytest.fixture(scope="module")
def dubber(checkpoint):
    return Dubber(checkpoint, SETTINGS)


def spoken(dubber, video, audio, monkeypatch, **changes):
    """The result's frames before they are encoded, the frames of the video, the report."""
    frames = []

    def record(path, generator, fps, **options):
        frames.extend(generator)
        return len(frames)

    monkeypatch.setattr(pipeline, "write_video", record)
    monkeypatch.setattr(dubber, "settings", replace(SETTINGS, **changes))
    report = dubber.dub(Job(video, audio, video.parent / "unused.mp4"))
    return np.stack(frames), np.stack(list(read_frames(video))), report


def test_frames_sound_and_time(dubber, folder, tmp_path):
    output = tmp_path / "neuer Ordner" / "result.mp4"
    report = dubber.dub(Job(folder / "person.mp4", folder / "words.wav", output))
    info = probe(output)
    assert (info.frames, info.fps, info.audio) == (25, 25, True)
    assert (report.frames, report.edited, report.missing) == (25, 25, [])
    before, after = read_sound(folder / "words.wav").samples, read_sound(output).samples
    assert 0 <= len(after) - len(before) < 1024  # AAC comes in packets of 1024
    assert np.corrcoef(before, after[: len(before)])[0, 1] > 0.99


def test_native_rate_is_kept(dubber, folder, tmp_path):
    video = tmp_path / "ntsc.mp4"
    write_video(video, talking(10), Fraction(30000, 1001))
    dubber.dub(Job(video, folder / "words.wav", tmp_path / "out.mp4"))
    assert (probe(tmp_path / "out.mp4").fps, probe(tmp_path / "out.mp4").frames) == (Fraction(30000, 1001), 30)


def test_only_the_mouth_half_changes(dubber, folder, monkeypatch):
    after, before, _ = spoken(dubber, folder / "person.mp4", folder / "words.wav", monkeypatch, length="video")
    track = dubber._track(probe(folder / "person.mp4"), 20)
    changed = (after != before).any(axis=3)
    for k in range(20):
        rows, columns = np.where(changed[k])
        x0, y0, x1, y1 = track.boxes[k]
        assert (y0 + y1) / 2 <= rows.min() + 1 and rows.max() <= y1 and x0 <= columns.min() + 1 and columns.max() <= x1
        assert len(rows) > 0.1 * (x1 - x0) * (y1 - y0)


def test_the_mouth_follows_the_sound_and_the_seed(dubber, folder, tmp_path, monkeypatch):
    other = tone(tmp_path / "other.wav", 1.0, pitch=900)
    one, _, _ = spoken(dubber, folder / "person.mp4", folder / "words.wav", monkeypatch, length="video")
    again, _, _ = spoken(dubber, folder / "person.mp4", folder / "words.wav", monkeypatch, length="video")
    two, _, _ = spoken(dubber, folder / "person.mp4", other, monkeypatch, length="video")
    assert np.array_equal(one, again)
    assert not np.array_equal(one, two)


def test_padding_and_position_do_not_matter(dubber, folder, monkeypatch):
    """The last, padded batch gives what a full one gives: 20 frames are 8 + 8 + 4."""
    full, _, _ = spoken(dubber, folder / "person.mp4", folder / "words.wav", monkeypatch, length="audio")
    short, _, _ = spoken(dubber, folder / "person.mp4", folder / "words.wav", monkeypatch, length="video")
    assert np.array_equal(full[:20], short)


def test_frames_without_a_face_pass_untouched_and_are_reported(dubber, folder, tmp_path, monkeypatch):
    video = tmp_path / "gap.mp4"
    write_video(video, talking(40, range(10, 30)), Fraction(25))
    after, before, report = spoken(dubber, video, folder / "words.wav", monkeypatch, length="video")
    assert report.missing == [(10, 29)] and report.edited == 20
    assert np.array_equal(after[10:30], before[10:30])
    assert (after[:10] != before[:10]).any() and (after[30:] != before[30:]).any()
    with pytest.raises(NoFace, match="10-29"):
        spoken(dubber, video, folder / "words.wav", monkeypatch, length="video", on_no_face="error")


def test_a_still_picture_is_a_video_of_one_frame(dubber, folder, tmp_path):
    dubber.dub(Job(PORTRAIT, folder / "words.wav", tmp_path / "out.mp4"))
    assert probe(tmp_path / "out.mp4").frames == 25


def test_the_fixed_crop_needs_no_detector(checkpoint, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "load_detector", None)
    dubber = Dubber(checkpoint, replace(SETTINGS, fixed_crop=True))
    video = tmp_path / "crop.mp4"
    write_video(video, (picture()[:160, 60:220] for _ in range(5)), Fraction(25))
    dubber.dub(Job(video, folder / "words.wav", tmp_path / "out.mp4"))
    assert probe(tmp_path / "out.mp4").frames == 25


def test_no_picture_is_never_written(dubber, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(dubber, "speaker", lambda clips: clips.faces * float("nan"))
    with pytest.raises(BadInput, match="--precision fp32"):
        dubber.dub(Job(folder / "person.mp4", folder / "words.wav", tmp_path / "out.mp4"))
    assert not any(tmp_path.iterdir())


def test_memory_is_bounded(dubber, folder, monkeypatch):
    """However long the result, at most one batch of frames is alive."""
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

    def count(path, generator, fps, **options):
        return sum(1 for _ in generator)

    monkeypatch.setattr("lipsync.plan.read_frames", frames)
    monkeypatch.setattr(pipeline, "write_video", count)
    box = FaceTrack.fixed(200, pipeline.voxceleb2_box(192, 256))
    monkeypatch.setattr(dubber, "_track", lambda info, frames: box)
    none = References(np.zeros((0, 32, 32, 3), np.uint8), np.full(200, -1))
    monkeypatch.setattr(pipeline, "choose_references", lambda *_: none)
    monkeypatch.setattr("lipsync.pipeline.make_plan", lambda info, seconds, settings: pipeline.Plan(200, 200, "hold"))
    dubber.dub(Job(folder / "person.mp4", folder / "words.wav", folder / "unused.mp4"))
    assert most <= 2 * dubber.batch + 2
