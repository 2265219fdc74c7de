"""What is read is never written over, whatever leads to it."""

import argparse
import os
from pathlib import Path

import pytest

from core import guard
from core.atomic import atomic
from core.errors import BadInput, Unwritable
from core.flags import Parser
from core.guard import check, files_of, reads, writes, writes_into
from core.lock import locked
from tests.helpers.failing import check_error, fails


def refused(read: list[Path], written: list[Path], owned: tuple[Path, ...] = ()) -> bool:
    try:
        check([("--in", path) for path in read], [("--out", path) for path in written], [("--own", p) for p in owned])
    except BadInput:
        return True
    return False


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.touch()
    return path


def test_another_file_may_be_written(film: Path) -> None:
    assert not refused([film], [film.with_name("Film.mp4"), film.with_name("other.mp4")], (film.with_name("x.parts"),))


@pytest.mark.parametrize("way", ["itself", "dots", "link", "hard link", "linked folder", "link to be", "relative"])
def test_whatever_leads_to_what_is_read_is_refused(film: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = film.parent
    other = folder / "other.mp4"
    (folder / "sub").mkdir()
    if way == "link":
        other.symlink_to(film)
    elif way == "hard link":
        os.link(film, other)
    elif way == "linked folder":
        (folder / "linked").symlink_to(folder)
    elif way == "link to be":
        film.unlink()
        other.symlink_to(film)
    monkeypatch.chdir(folder)
    path = {
        "itself": film, "dots": folder / "sub" / ".." / "film.mp4", "linked folder": folder / "linked" / "film.mp4",
        "relative": Path("film.mp4"),
    }.get(way, other)  # fmt: skip
    assert refused([film], [path]) and refused([path], [film]) and refused([], [film, path])


def test_case_counts_only_where_the_file_system_tells_it_apart(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, same = film.with_name("Straße.mp4"), film.with_name("STRASSE.MP4")
    assert not refused([], [new, same])
    monkeypatch.setattr(guard, "_folds", lambda folder: True)
    assert refused([], [new, same])


def test_nothing_may_lie_in_a_folder_that_a_program_removes(film: Path) -> None:
    parts = film.with_name("x.mp4.parts")
    assert refused([], [parts / "m.npz"], (parts,)) and refused([parts / "a" / "in.wav"], [], (parts,))
    assert refused([], [parts], (parts,)) and not refused([film], [film.with_name("x.mp4")], (parts,))
    assert refused([], [film.with_name("new.mp4"), film.with_name("new.mp4") / "inside.mp4"])


def test_a_folder_that_is_read_stands_for_its_files(film: Path) -> None:
    assert refused([film.parent], [film]) and not refused([film.parent], [film.with_name("new.mp4")])
    assert film in set(files_of(film.parent))


@pytest.mark.parametrize("name", ["a\0b.mp4", "\ud800.mp4"])
def test_what_no_file_can_be_called_is_refused(name: str) -> None:
    assert refused([Path(name)], [])


def test_flags_are_known_by_their_types(film: Path) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("films", type=reads, nargs="*")
    second = parser.add_subparsers().add_parser("make")
    second.add_argument("--out", type=writes)
    second.add_argument("--folder", type=writes_into)
    good = parser.parse_args([str(film), "make", "--out", str(film.with_name("new")), "--folder", str(film.parent)])
    guard.guard(parser, good)
    bad = parser.parse_args([str(film), "make", "--out", str(film)])
    with fails(Unwritable, "--out", "FILMS"):
        guard.guard(parser, bad)


@pytest.mark.parametrize("place", ["film.mp4", "film.mp4/sub/run", "dangling"])
def test_a_folder_that_cannot_be_is_refused_before_any_work(film: Path, place: str) -> None:
    (film.parent / "dangling").symlink_to("nowhere")
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=writes_into)
    parser.add_argument("--table", type=writes)
    with fails(Unwritable, f"--run {film.parent / place}", "no folder"):
        guard.guard(parser, parser.parse_args(["--run", str(film.parent / place)]))
    with fails(Unwritable, f"--table {film.parent / place / 'table.csv'}", "no folder"):
        guard.guard(parser, parser.parse_args(["--table", str(film.parent / place / "table.csv")]))
    for good in (film.parent, film.parent / "new" / "run"):
        guard.guard(parser, parser.parse_args(["--run", str(good)]))
    assert film.read_bytes() == b"" and not (film.parent / "new").exists()


def test_a_folder_in_which_none_may_write_is_refused(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: False)  # who runs as root may write anywhere
    with fails(Unwritable, "--run", str(film.parent)):
        guard.check_folder("--run", film.parent / "new" / "run")


def test_one_run_at_a_time_and_a_lock_leaves_nothing(film: Path) -> None:
    lock = film.with_name("lock")
    with locked(lock, film):
        with fails(Unwritable, "film.mp4"), locked(lock, film):
            pass
        assert lock.exists()
    assert not lock.exists()
    lock.touch()  # as a kill leaves it
    with locked(lock, film):
        pass
    assert not lock.exists()


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["folder"] * 900), "\u00e9" * 128])
def test_names_that_no_file_system_holds_are_one_sentence(name: str) -> None:
    with fails(Unwritable, "--video"):
        check([("--video", Path(name))], [("--output", Path("out.mp4"))])


@pytest.mark.parametrize("place", [".", "/", "./"])
def test_a_file_to_be_written_has_a_name(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser()
    parser.add_argument("--output", type=writes)
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--output", place])
    assert end.value.code == 2
    check_error(capsys.readouterr().err, "--output", "is a folder; give the name of a file in it")
    with fails(Unwritable, "is a folder; give the name of a file in it"), atomic(Path(place)):
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux alone has a folder in which not even root may write")
def test_a_folder_in_which_nothing_can_be_made_is_refused() -> None:
    with fails(Unwritable, "--run /proc/x/run", "nothing may be written in /proc"):
        guard.check_folder("--run", Path("/proc/x/run"))
