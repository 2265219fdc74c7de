"""Promises of the cache: nothing is looked at twice, nothing wrong is believed, nobody is disturbed."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.errors import Unreadable
from face_detection import FaceFinder, find_faces
from face_detection.cache import content_hash, default_folder
from tests.helpers.failing import fails
from tests.helpers.painted import Painted, scene
from video import probe, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """170 frames: two whole blocks and a rest; red is there, and blue from frame 90 on."""
    path = tmp_path_factory.mktemp("cache") / "clip.mkv"
    clip = (scene(red=(10, 10, 40), blue=(100, 20, 30) if k >= 90 else None) for k in range(170))
    write_video(path, clip, Fraction(25), crf=1, preset="ultrafast")
    return path


def finder(video: Path, cache: Path | None) -> tuple[FaceFinder, Painted]:
    detector = Painted()
    return FaceFinder(probe(video), detector, cache), detector


def equal(one, other) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)


def test_a_second_run_looks_at_nothing_and_sees_the_same(video, tmp_path):
    first, detector = finder(video, tmp_path)
    ticks: list[int] = []
    seen = first.find(0, 170, ticks.append)
    assert detector.looked_at and sum(ticks) == 170
    again, idle = finder(video, tmp_path)
    assert again.missing(0, 170) == []
    assert equal(again.find(0, 170), seen) and not idle.looked_at
    assert len(find_faces(seen).tracks) == 2


def test_without_a_cache_it_sees_the_same_and_leaves_nothing(video, tmp_path):
    cached, _ = finder(video, tmp_path / "cache")
    plain, _ = finder(video, None)
    assert equal(cached.find(0, 170), plain.find(0, 170))
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_parts_searched_by_different_people_are_the_whole(video, tmp_path):
    whole = finder(video, None)[0].find(0, 170)
    for start, stop in ((160, 170), (0, 80), (80, 160)):
        finder(video, tmp_path)[0].find(start, stop)
    last, idle = finder(video, tmp_path)
    assert equal(last.find(0, 170), whole) and not idle.looked_at


def test_only_the_blocks_that_are_needed_are_searched(video):
    part, detector = finder(video, None)
    seen = part.find(100, 101)
    assert (seen.start, seen.stop) == (80, 160) and part.missing(0, 170) == [(0, 80), (160, 170)]
    assert detector.looked_at <= 30


def test_another_video_and_another_detector_are_other_questions(video, tmp_path):
    finder(video, tmp_path)[0].find(0, 80)
    copied = tmp_path / "renamed.mkv"
    copied.write_bytes(video.read_bytes())
    assert finder(copied, tmp_path)[0].missing(0, 80) == []
    longer = tmp_path / "changed.mkv"
    write_video(longer, (scene(red=(11, 10, 40)) for _ in range(170)), Fraction(25), preset="ultrafast")
    assert finder(longer, tmp_path)[0].missing(0, 80) == [(0, 80)]
    other = Painted()
    other.name = "other"
    assert FaceFinder(probe(video), other, tmp_path).missing(0, 80) == [(0, 80)]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "swapped", "folder"])
def test_a_damaged_file_is_not_believed(video, tmp_path, damage):
    seen = finder(video, tmp_path)[0].find(0, 160)
    first, second = sorted(tmp_path.glob("*/*.npz"))
    if damage == "folder":
        first.unlink()
        first.mkdir()
    else:
        cut = first.read_bytes()[:-99]
        first.write_bytes({"cut": cut, "empty": b"", "text": b"hello" * 99, "swapped": second.read_bytes()}[damage])
    again, detector = finder(video, tmp_path)
    assert equal(again.find(0, 160), seen) and detector.looked_at


def test_a_place_that_cannot_be_written_disturbs_nobody(video, tmp_path):
    (tmp_path / "file").touch()
    assert finder(video, tmp_path / "file")[0].find(0, 80).stop == 80


def test_many_at_once(video, tmp_path):
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: finder(video, tmp_path)[0].find(0, 80), range(3)))
    assert all(equal(result, results[0]) for result in results)
    assert [path.suffix for path in tmp_path.glob("*/*")] == [".npz"]


def test_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "lip-sync"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home" / ".cache" / "lip-sync"


def test_a_file_that_is_not_there_has_no_hash(tmp_path):
    with fails(Unreadable, "gone.mp4"):
        content_hash(tmp_path / "gone.mp4")


def test_the_same_bytes_have_the_same_hash(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(3_000_000))
    assert_array_equal(content_hash(tmp_path / "a"), content_hash(tmp_path / "b"))
    (tmp_path / "b").write_bytes(bytes(1_500_000) + b"!" + bytes(1_499_999))
    assert content_hash(tmp_path / "a") != content_hash(tmp_path / "b")
