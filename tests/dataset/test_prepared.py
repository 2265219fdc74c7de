"""A clip comes back from disk as it was, up to JPEG; what is no clip is refused."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from core.errors import NoData, Unreadable
from dataset import Entry, entries, load_clip, save_clip
from tests.helpers.failing import fails
from tests.helpers.toy import talking


def test_a_clip_comes_back(tmp_path: Path) -> None:
    clip = replace(talking(size=64), fps=Fraction(30000, 1001))
    path = tmp_path / "train" / "ann" / "clip0.npz"
    save_clip(path, clip)
    found = load_clip(Entry(path, "ann"))
    assert (found.name, found.speaker, found.fps) == ("clip0", "ann", Fraction(30000, 1001))
    assert found.faces.shape == clip.faces.shape
    assert np.abs(found.faces.astype(int) - clip.faces).max() <= 6  # JPEG
    assert np.array_equal(found.mel.columns, clip.mel.columns.astype(np.float16).astype(np.float32))
    assert found.mel.seconds == clip.mel.seconds
    assert [file.name for file in path.parent.iterdir()] == ["clip0.npz"]


def test_colours_keep_their_order_and_their_sharpness(tmp_path: Path) -> None:
    """Red stays red, and chroma is not subsampled: a red line one pixel wide stays a red line."""
    clip = talking(frames=2)
    clip.faces[:] = 100
    clip.faces[:, :, 11] = (220, 30, 30)
    save_clip(tmp_path / "clip.npz", clip)
    found = load_clip(Entry(tmp_path / "clip.npz", "ann")).faces.astype(int)
    assert np.abs(found[:, :, 11] - (220, 30, 30)).max() < 25
    assert np.abs(found[:, :, [9, 13]] - 100).max() < 25


def test_the_entries_of_a_split_are_in_a_fixed_order(tmp_path: Path) -> None:
    for speaker, number in [("bob", 2), ("ann", 1), ("ann", 0)]:
        save_clip(tmp_path / "train" / speaker / f"clip{number}.npz", talking(number, frames=2))
    save_clip(tmp_path / "test" / "eve" / "clip9.npz", talking(9, frames=2))
    found = entries(tmp_path, "train")
    assert [(e.speaker, e.path.stem) for e in found] == [("ann", "clip0"), ("ann", "clip1"), ("bob", "clip2")]


def test_an_empty_split_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with fails(NoData, "train", "python -m dataset.prepare"):
        entries(tmp_path, "train")


def broken(path: Path, how: str) -> None:
    save_clip(path, talking(frames=3))
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:700])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not a clip")
    else:
        with np.load(path) as file:
            values = dict(file)
        if how == "picture":
            values["faces"][:] = 0
        elif how == "pickle":
            values["mel"] = np.array([{}], dtype=object)
        elif how == "rate":
            values["fps"] = np.array([25, 0])
        else:
            del values[how]
        np.savez(path, **values)


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "picture", "pickle", "rate", "mel", "ends"])
def test_what_is_no_clip_is_refused_and_named(tmp_path: Path, how: str) -> None:
    broken(tmp_path / "bad.npz", how)
    with fails(Unreadable, "bad.npz"):
        load_clip(Entry(tmp_path / "bad.npz", "ann"))


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_clip(tmp_path / "clip.npz", talking(frames=2))
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_may_not_be_read_is_not_to_be_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", denied)  # who runs as root may read anything
    with fails(Unreadable, "a.npz", "change its permissions"):
        load_clip(Entry(tmp_path / "a.npz", "ann"))
