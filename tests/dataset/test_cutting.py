"""Any video becomes clips: one for each stretch with a face, its pictures and sound of the same moment."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from audio import read_mel
from core.errors import NoData
from dataset import Entry, cutting, load_clip
from dataset.cutting import Cutting, prepare_source
from dataset.source import Source
from dataset.span import Least
from dataset.sync_filter import Offset, SyncFilter
from tests.helpers.failing import fails
from tests.helpers.painted_films import SIZE, FixedScorer, Painted, film, scene, shade
from tests.helpers.tiny_videos import FPS, numbers
from video import write_video


@pytest.fixture(autouse=True)
def painted_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "_detector", lambda _: Painted())


def test_each_shot_with_a_face_becomes_a_clip(tmp_path: Path) -> None:
    source = film(
        tmp_path / "film.mp4",
        scene(range(40), 40),
        scene(range(40, 55), 200, face=None),
        scene(range(55, 95), 120),
        scene(range(95, 125), 230, face=60),
    )
    lines = prepare_source(source, Cutting(size=32), None)
    assert [(line["begin"], line["frames"], line.get("clip"), line.get("skipped")) for line in lines] == [
        (0.0, 40, "train/ann/film__000.npz", None),
        (1.6, 15, None, "no face"),
        (2.2, 40, "train/ann/film__001.npz", None),
        (3.8, 30, None, "face of 60 px, less than 96"),
    ]
    assert lines[0]["seconds"] == 1.6 and lines[0]["face"] == pytest.approx(SIZE, abs=2)
    sound = read_mel(source.video)
    for number, first in ((0, 0), (1, 55)):
        clip = load_clip(Entry(source.numbered(number), "ann"))
        assert clip.name == f"film__00{number}" and clip.speaker == "ann" and clip.fps == 25
        assert clip.faces.shape == (40, 32, 32, 3)
        assert numbers(clip.faces) == [shade(k) for k in range(first, first + 40)]
        border = clip.faces[:, 3:-3, 3].astype(int)
        assert border[..., 0].min() > 170 and border[..., 1:].max() < 90  # the face and nothing around it
        expected = sound.windows(first + 1, first + 40, FPS)
        assert np.abs(clip.mel.windows(1, 40, FPS) - expected).max() < 5e-3  # fp16


def test_another_rate_becomes_25_frames_a_second_by_time(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", scene(range(36), 40), fps=Fraction(30), seconds=1.2)
    (line,) = prepare_source(source, Cutting(size=32), None)
    clip = load_clip(Entry(source.numbered(0), "ann"))
    assert (line["frames"], clip.fps) == (30, 25)
    assert numbers(clip.faces) == [int(k * 30 / 25 + 0.5) for k in range(30)]


def test_in_every_shot_it_is_the_larger_face(tmp_path: Path) -> None:
    """Ann fills the first shot; in the second there is Bob alone, and he is not left out for her sake."""
    far = (np.roll(picture, 55, axis=1) for picture in scene(range(60, 90), 210, face=100))
    source = film(tmp_path / "film.mp4", scene(range(60), 40), far)
    lines = prepare_source(source, Cutting(size=16, least=Least(face=50)), None)
    assert [(line["frames"], round(line["face"], -1)) for line in lines if "clip" in line] == [(60, 120), (30, 100)]


def test_a_video_without_sound_or_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    write_video(path, scene(range(3), 40), FPS)
    source = Source(path, "silent.mp4", "ann", tmp_path / "out" / "silent.npz", framed=False)
    with fails(NoData, "silent.mp4"):
        prepare_source(source, Cutting(), None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("frames", [0, 1, 5, -5])
def test_sound_that_is_off_is_moved_to_its_lips(tmp_path: Path, frames: int) -> None:
    empty = (scene(range(count), 200, face=None) for count in (15, 15))
    source = film(tmp_path / "film.mp4", next(empty), scene(range(15, 50), 40), next(empty), seconds=2.6)
    scorer = FixedScorer(Offset(frames, 6.5))
    lines = prepare_source(source, Cutting(size=16, sync=SyncFilter(min_confidence=6, max_offset=1)), scorer)
    assert (lines[1]["offset"], lines[1]["confidence"]) == (frames, 6.5) and "offset" not in lines[0]
    assert scorer.shown == [(35, 35 * 16 // 5 + 16, Fraction(25))]
    clip, sound = load_clip(Entry(source.numbered(0), "ann")), read_mel(source.video)
    moved = 0 if abs(frames) <= 1 else frames
    expected = sound.windows(16 + moved, 50 + moved, FPS)
    assert np.abs(clip.mel.windows(1, 35, FPS) - expected).max() < 5e-3


def test_what_is_not_surely_in_sync_is_left_out(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", scene(range(30), 40), seconds=1.2)
    (line,) = prepare_source(source, Cutting(size=16, sync=SyncFilter(min_confidence=6)), FixedScorer(Offset(0, 5.5)))
    assert line["skipped"] == "sync confidence below 6" and line["confidence"] == 5.5
    assert not source.target.parent.exists()


def test_an_impossible_size_is_refused() -> None:
    with fails(ValueError, 8, 0):
        Cutting(size=0)
