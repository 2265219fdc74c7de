"""Which result belongs to which real video."""

from pathlib import Path

from core.errors import NoData, NotFound
from dataset.filelist import read_filelist
from evaluation.cases import from_folder, from_list, result_name
from lipsync.cli.filelist import read_list
from tests.helpers.failing import fails


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_in_folders_names_decide_whatever_the_ending(tmp_path: Path) -> None:
    real, fake = tmp_path / "real", tmp_path / "fake"
    touch(real / "a" / "für dich.mp4", real / "b.mov", fake / "a" / "für dich.mkv", fake / "more.mp4")
    first, second = from_folder(real, fake)
    assert (first.name, first.result, first.sound) == ("a/für dich", fake / "a" / "für dich.mkv", None)
    assert second.result is None and second.looked == fake / "b.mp4"


def test_in_lists_video_and_sound_decide(tmp_path: Path) -> None:
    root, fake = tmp_path / "root", tmp_path / "fake"
    touch(root / "id1" / "x" / "1.mp4", root / "id2" / "y" / "2.mp4", fake / "id2.y.2_id1.x.1.mp4")
    touch(fake / "id1" / "x" / "1.mp4")
    listing = tmp_path / "list.txt"
    listing.write_text("id2/y/2 id1/x/1\nid1/x/1 id1/x/1\nid2/y/2 id2/y/2\nid3/z/3 id1/x/1\n")
    cross, own, missing, silent = from_list(listing, root, fake)
    assert (cross.name, cross.result) == ("id1/x/1 says id2/y/2", fake / "id2.y.2_id1.x.1.mp4")
    assert (cross.real, cross.sound) == (root / "id1" / "x" / "1.mp4", root / "id2" / "y" / "2.mp4")
    assert own.result == fake / "id1" / "x" / "1.mp4" and own.sound == own.real
    assert missing.result is None and missing.real is not None
    assert silent.real is None


def test_results_are_called_as_the_generator_calls_them(tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text("id2/y/2 id1/x/1\nABOUT_00001 ABOUT_00001\n")
    made = read_list(listing, ["--sample_path", "results", "--test_video_dir", str(tmp_path)])
    assert [item.job.output.stem for item in made] == [result_name(pair) for pair in read_filelist(listing)]


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.mp4", tmp_path / "empty" / "b.txt")
    (tmp_path / "list.txt").write_text("a a\n")
    for wrong, kind, named in (
        (lambda: from_folder(tmp_path / "real", tmp_path / "none"), NotFound, "--fake"),
        (lambda: from_folder(tmp_path / "none", tmp_path / "real"), NotFound, "--real"),
        (lambda: from_folder(tmp_path / "empty", tmp_path / "real"), NoData, "--real"),
        (lambda: from_list(tmp_path / "list.txt", tmp_path / "none", tmp_path / "real"), NotFound, "--root"),
    ):
        with fails(kind, named):
            wrong()
