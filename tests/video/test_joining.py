"""Segments of one video, joined, are the video: the same packets, the same times, the same sound."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import video.encoding
from core.errors import NoData
from tests.helpers.failing import fails
from tests.helpers.numbered_clips import numbered, numbers
from tests.helpers.talking_head import tone
from video import chunk_suffix, join, probe, read_frames, write_video

NTSC = Fraction(30000, 1001)


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    monkeypatch.setattr(video.encoding, "CHUNK", 16)


def frames(start: int, stop: int):
    for k in range(start, stop):
        yield numbered(k) // 2 + np.random.default_rng(k).integers(0, 30, (48, 64, 1), np.uint8)


def packets(path: Path) -> list[tuple[bytes, Fraction]]:
    """What is stored, and when it is shown."""
    with av.open(str(path)) as container:
        return [(bytes(packet), packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.size]


KINDS = [("h264", ".mp4"), ("h264", ".mkv"), ("prores", ".mov"), ("ffv1", ".mkv")]


@pytest.mark.parametrize(("codec", "suffix"), KINDS)
@pytest.mark.parametrize("fps", [Fraction(25), NTSC])
def test_joined_parts_are_the_whole(tmp_path, codec, suffix, fps):
    whole, joined = tmp_path / f"whole{suffix}", tmp_path / f"joined{suffix}"
    write_video(whole, frames(0, 58), fps, codec=codec)
    parts = []
    for start, stop in ((0, 16), (16, 48), (48, 58)):
        parts.append(tmp_path / f"{start}{chunk_suffix(codec)}")
        write_video(parts[-1], frames(start, stop), fps, codec=codec)
    assert join(parts, joined, fps) == 58
    assert probe(joined).fps == probe(whole).fps == fps
    one, other = packets(whole), packets(joined)
    assert [data for data, _ in one] == [data for data, _ in other]
    assert max(abs(a[1] - b[1]) for a, b in zip(one, other, strict=True)) < Fraction(1, 900)  # mkv counts milliseconds
    pairs = zip(read_frames(joined), read_frames(whole), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert [path.suffix for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_seek_across_a_join_is_exact(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, (numbered(k) for k in range(50)), Fraction(25))
    for start in (15, 16, 17, 33, 47):
        assert numbers(read_frames(path, start=start)) == list(range(start, 50))


def test_the_sound_comes_with_the_join(tmp_path):
    sound = tone(tmp_path / "tone.wav", 2.0)
    parts = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for number, part in enumerate(parts):
        write_video(part, frames(16 * number, 16 * number + 16), Fraction(25))
    join(parts, tmp_path / "whole.mov", Fraction(25), sound=sound)
    with av.open(str(tmp_path / "whole.mov")) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert 1.28 <= samples / 16000 < 1.41


def test_parts_that_do_not_go_together_are_refused(tmp_path):
    write_video(tmp_path / "a.mp4", frames(0, 4), Fraction(25))
    write_video(tmp_path / "b.mp4", (f[:32] for f in frames(4, 8)), Fraction(25))
    with fails(ValueError, "b.mp4"):
        join([tmp_path / "a.mp4", tmp_path / "b.mp4"], tmp_path / "out.mp4", Fraction(25))
    with fails(NoData, "out.mp4"):
        join([], tmp_path / "out.mp4", Fraction(25))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_what_is_said_of_a_file_is_in_its_metadata(tmp_path, suffix):
    write_video(tmp_path / "a.mp4", frames(0, 4), Fraction(25))
    join([tmp_path / "a.mp4"], tmp_path / f"whole{suffix}", Fraction(25), comment="made by a machine")
    with av.open(str(tmp_path / f"whole{suffix}")) as container:
        assert {key.lower(): text for key, text in container.metadata.items()}["comment"] == "made by a machine"
