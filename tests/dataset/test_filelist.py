"""Lists of the original are read as they are; lists of one's own are made from a folder, and read back."""

import os
import sys
from itertools import permutations
from pathlib import Path

import pytest

from core.errors import BadValue, NoData, NotFound, Unreadable, Unwritable
from dataset.filelist import Pair, locate, read_filelist, write_filelist
from dataset.filelists import make
from tests.helpers.failing import fails

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "filelists"
ROWS = {
    "voxceleb2_test_n_5000_reconstruction_5k": 4911,
    "voxceleb2_test_n_5000_seed_797_cross_5K": 4970,
    "voxceleb2_test_n_500_reconstruction": 500,
    "voxceleb2_test_n_500_seed_797_cross": 500,
    "lrw_reconstruction": 25_000,
    "lrw_cross": 28_000,
}


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published lists are not here")
@pytest.mark.parametrize(("name", "rows"), ROWS.items())
def test_the_published_lists_are_read_as_they_are(name: str, rows: int) -> None:
    pairs = read_filelist(PUBLISHED / f"{name}.txt")
    assert len(pairs) == rows
    assert all(pair.sound == pair.video for pair in pairs) == ("reconstruction" in name)
    if name.endswith("cross_5K"):  # every ordered pair of 71 videos
        videos = dict.fromkeys(pair.sound for pair in pairs)
        assert {(pair.sound, pair.video) for pair in pairs} == set(permutations(videos, 2))


def test_columns_are_apart_by_one_blank_or_by_a_tab(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\ufeffa/b c/d\r\n\nmy clips/a b\tmy clips/für dich\ne f  \n", encoding="utf-8")
    assert read_filelist(path) == [Pair("a/b", "c/d"), Pair("my clips/a b", "my clips/für dich"), Pair("e", "f")]


@pytest.mark.parametrize("line", ["a", "a b c", "a  b", "a\tb\tc", "\ta", "/etc/a b", "a ../b", "a/../../b c"])
def test_what_is_no_pair_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"a b\n{line}\n")
    with fails(Unreadable, "list.txt, line 2", "TAB"):
        read_filelist(path)


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "video.mp4").write_bytes(b"\x00\x01\x02\xff")
    with fails(NoData, "empty.txt"):
        read_filelist(tmp_path / "empty.txt")
    for name, kind in (("gone.txt", NotFound), ("video.mp4", Unreadable)):
        with fails(kind, name):
            read_filelist(tmp_path / name)


def test_a_list_comes_back_whatever_its_paths_are(tmp_path: Path) -> None:
    pairs = [Pair("a", "b/c"), Pair("a b", "c"), Pair("c", "d#e"), Pair("#1", "für dich")]
    assert write_filelist(tmp_path / "list.txt", pairs) == 4
    assert read_filelist(tmp_path / "list.txt") == pairs
    assert (tmp_path / "list.txt").read_text().startswith("a b/c\n")
    with fails(ValueError, "a\\tb"):
        Pair("a\tb", "c")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_name_means_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "id1/v/00001.mp4", "ABOUT/test/ABOUT_00001.mp4", "talk.v2.mov")
    assert locate(tmp_path, "id1/v/00001") == tmp_path / "id1/v/00001.mp4"
    assert locate(tmp_path, "ABOUT_00001") == tmp_path / "ABOUT/test/ABOUT_00001.mp4"
    assert locate(tmp_path, "talk.v2") == tmp_path / "talk.v2.mov"
    for name in ("ABOUT_00002", "id1/v/00002", "talk"):
        with fails(NotFound, f"{name}.mp4"):
            locate(tmp_path, name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    touch(tmp_path / "data", *(f"id{k}/v{j}/0001.mp4" for k in range(4) for j in range(2)), "id0/notes.txt")
    return tmp_path / "data"


def made(monkeypatch: pytest.MonkeyPatch, root: Path, *words: str) -> list[Pair]:
    output = root.parent / "list.txt"
    monkeypatch.setattr(sys, "argv", ["make", *words, "--root", str(root), "--output", str(output)])
    make.main()
    return read_filelist(output)


def test_lists_are_made_from_a_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"id{k}/v{j}/0001" for k in range(4) for j in range(2)]
    assert made(monkeypatch, root, "reconstruction") == [Pair(name, name) for name in names]
    few = made(monkeypatch, root, "reconstruction", "--videos", "3")
    assert len(few) == 3 and {pair.sound for pair in few} < set(names)
    cross = made(monkeypatch, root, "cross", "--videos", "5")
    videos = {pair.video for pair in cross}
    assert len(videos) == 5 and {(p.sound, p.video) for p in cross} == set(permutations(videos, 2))


def test_drawn_pairs_differ_and_are_of_two_speakers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = made(monkeypatch, root, "cross", "--pairs", "40")
    assert len(set(drawn)) == 40
    assert all(pair.sound.split("/")[0] != pair.video.split("/")[0] for pair in drawn)
    assert drawn == made(monkeypatch, root, "cross", "--pairs", "40")
    assert drawn != made(monkeypatch, root, "cross", "--pairs", "40", "--seed", "797")
    flat = make.drawn_pairs(["a", "b", "c"], 6, 0)
    assert len(set(flat)) == 6 and all(pair.sound != pair.video for pair in flat)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["cross"], "--videos or --pairs"),
        (["cross", "--pairs", "49"], "--pairs 49"),
        (["reconstruction", "--videos", "9"], "--videos 9"),
        (["cross", "--videos", "1"], "--videos 1"),
    ],
)
def test_what_cannot_be_made_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], named: str
) -> None:
    with fails(BadValue, named):
        made(monkeypatch, root, *words)
    assert not (root.parent / "list.txt").exists()


@pytest.mark.parametrize("name", ["a\tb", "a\nb", os.fsdecode(b"caf\xe9")])
def test_a_name_that_no_list_can_hold_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    touch(root, f"id9/v0/{name}.mp4", "id9/v0/a\u2028b.mp4")
    with fails(Unwritable, root, repr(name)[1:-1], "rename"):
        made(monkeypatch, root, "reconstruction")
    (root / "id9" / "v0" / f"{name}.mp4").unlink()
    assert Pair("id9/v0/a\u2028b", "id9/v0/a\u2028b") in made(monkeypatch, root, "reconstruction")


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with fails(NoData, "--root"):
        make.names(tmp_path)
    with fails(NotFound, "--root"):
        make.names(tmp_path / "gone")
