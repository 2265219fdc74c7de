"""A video is read at random and gives what a decoder that reads all of it gives; what is broken is refused."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from audio import read_mel
from core.errors import BadInput, NoData, NotFound, Unreadable
from dataset import VideoClip, VideoTree, video_clip
from dataset.framing import voxceleb2_face
from face_detection import cut, voxceleb2_box
from tests.helpers.failing import fails
from tests.helpers.tiny_videos import numbers, tiny_video
from video import read_frames, write_video


def footage(path: Path, size: int = 16) -> VideoClip:
    return VideoClip(path, path.stem, "ann", voxceleb2_face, size)


def textured(path: Path, frames: int) -> Path:
    """A video of moving noise: no two frames alike, and no frame like its neighbours' blend."""
    path.parent.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (frames, 6, 8, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    sound = tiny_video(path.with_name("sound.mp4"), frames)
    write_video(path, pictures, Fraction(25), sound=sound, preset="ultrafast")
    sound.unlink()
    return path


def test_random_access_equals_decoding_all_pixel_for_pixel(tmp_path: Path) -> None:
    path = textured(tmp_path / "a.mp4", 40)
    clip = footage(path)
    whole = np.stack([cut(frame, voxceleb2_box(48, 64), 16) for frame in read_frames(path)])
    assert len(clip) == len(whole) == 40 and clip.fps == 25 and clip.amount is None
    for asked in ([7], [3, 4, 5, 6, 7, 30], [39, 0, 20, 20, 1], range(40)):
        assert np.array_equal(clip.pictures(asked), whole[list(asked)])
    assert np.array_equal(clip.mel.columns, read_mel(path).columns)
    with fails(IndexError, "a.mp4", "0..39"):
        clip.pictures([40])


def test_a_clip_keeps_its_own_rate(tmp_path: Path) -> None:
    clip = footage(tiny_video(tmp_path / "a.mp4", 10, fps=Fraction(30000, 1001)))
    assert clip.fps == Fraction(30000, 1001)
    assert numbers(clip.pictures([9, 2, 3])) == [9, 2, 3]


def test_what_cannot_serve_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    silent = tiny_video(tmp_path / "silent.mp4", sound=False)
    for path, kind in (
        (tmp_path / "gone.mp4", NotFound),
        (tmp_path / "broken.mp4", Unreadable),
        (silent, NoData),
    ):
        with fails(kind, path):
            len(footage(path))
    monkeypatch.setattr(video_clip, "LONGEST", 0.4)
    with fails(BadInput, "long.mp4", "python -m dataset.prepare --videos"):
        len(footage(tiny_video(tmp_path / "long.mp4")))


def test_a_tree_is_a_sequence_that_opens_nothing() -> None:
    tree = VideoTree(Path("data"), ["a/1.mp4", "b/2.mp4", "b/3.mp4"], lambda name: name[0], voxceleb2_face, 16)
    assert [clip.speaker for clip in tree] == ["a", "b", "b"] and len(tree) == 3
    assert tree[1].path == Path("data/b/2.mp4") and tree[-1].name == "b/3.mp4"
    assert [clip.name for clip in tree[1:]] == ["b/2.mp4", "b/3.mp4"]
    with pytest.raises(IndexError):
        tree[3]


def test_damage_anywhere_is_a_sentence_or_goes_unnoticed(tmp_path: Path) -> None:
    """Whatever bytes are wrong, a clip serves or raises BadInput: training never stops at a broken file."""
    whole = textured(tmp_path / "a.mp4", 30).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for attempt in range(24):
        data = bytearray(whole)
        start, length = int(rng.integers(len(data))), 2 ** int(rng.integers(1, 12))
        hurt = bytes(rng.integers(0, 256, length, np.uint8))
        data[start : start + length] = hurt[: len(data) - start]
        path = tmp_path / f"{attempt}.mp4"
        path.write_bytes(data[:start] if attempt % 4 == 0 else data)
        try:
            broken = footage(path)
            assert broken.pictures([0, len(broken) - 1]).shape == (2, 16, 16, 3)
        except BadInput:
            refused += 1
    assert 0 < refused < 24
