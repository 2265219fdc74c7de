"""No run of generate.py loses a file that it was not told to write: each way that was found, and some more."""

import json
import os
from pathlib import Path

import pytest

from core.atomic import atomic
from core.errors import Unwritable
from core.lock import locked
from lipsync.cli.main import generate
from lipsync.jobs.chunks import MARK, companion
from tests.helpers.failing import check_error, fails


@pytest.fixture
def here(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what one may lose; the present one."""
    for name in ("a.mp4", "b.mp4", "b_orig.mp4"):
        (tmp_path / name).write_bytes((folder / "person.mp4").read_bytes())
    for name in ("mine_orig.mp4", "mine.png"):
        (tmp_path / name).write_bytes(b"mine")
    for name in ("w.wav", "c.mov", "c.mkv"):
        (tmp_path / name).write_bytes((folder / "words.wav").read_bytes())
    (tmp_path / "sub").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(here: Path, *args: str) -> bool:
    before = contents(here)
    assert generate(list(args)) == 2
    return contents(here) == before


SINGLE = {
    "the sound that segments name": "--video a.mp4 --segments s.csv -o c.mov",
    "another such, by a link": "--video a.mp4 --segments s2.csv -o linked/c.mkv --audio w.wav",
    "orig on the video": "--video b_orig.mp4 --audio w.wav -o b.mp4 --save_orig",
    "orig on the sound": "--video a.mp4 --audio b_orig.mp4 -o b.mp4 --save_orig",
    "the plot on the video": "--video face.png --audio w.wav -o x.mp4 --motion_out face.npz",
    "the plot on the style": "--video a.mp4 --audio w.wav --style_video face.png -o x.mp4 --motion_out sub/../face.npz",
    "motion read and written": "--video a.mp4 --audio w.wav -o x.mp4 --motion_in m.npz --motion_out m.npz",
    "what is heard": "--video a.mp4 --audio w.wav --mux_audio b.mp4 -o ./b.mp4",
    "the model": "--video a.mp4 --audio w.wav --model_path b.mp4 -o b.mp4",
    "in the model's folder": "--video a.mp4 --audio w.wav --model_path sub -o sub/r.mp4",
    "motion among the segments": "--video a.mp4 --audio w.wav -o x.mp4 --motion_out x.mp4.parts/m.npz",
    "the video among the segments": "--video x.mp4.parts/v.mp4 --audio w.wav -o x.mp4",
    "the cache is the result": "--video a.mp4 --audio w.wav -o x.mp4 --cache_dir x.mp4",
    "orig is the motion": "--video a.mp4 --audio w.wav -o x.mp4 --save_orig --cache_dir x_orig.mp4",
    "the preview on the video": "--video face.png --audio w.wav -o face.png --preview 0",
    "the list of faces on a link": "--video face.png -o linked/face.png --list_faces",
    "orig on what no run made": "--video a.mp4 --audio w.wav -o mine.mp4 --save_orig",
    "the plot on what no run made": "--video a.mp4 --audio w.wav -o y.mp4 --motion_out mine.npz",
    "a cache in a file": "--video a.mp4 --audio w.wav -o x.mp4 --cache_dir w.wav",
}


@pytest.mark.parametrize("args", SINGLE.values(), ids=SINGLE)
def test_one_result(here: Path, args: str) -> None:
    (here / "s.csv").write_text("start,end,face,sound\n0,1,largest,c.mov\n")
    (here / "s2.csv").write_text("start,end,face,sound\n0,1,largest,sub/../c.mkv\n")
    (here / "face.png").write_bytes(b"a picture")
    (here / "m.npz").write_bytes(b"motion")
    (here / "sub" / "r.mp4").write_bytes(b"of the model")
    (here / "x.mp4.parts").mkdir()
    (here / "x.mp4.parts" / "v.mp4").write_bytes(b"mine")
    assert refused(here, *args.split())


ROWS = {
    "another row's video": "a.mp4,w.wav,x.mp4\nb.mp4,w.wav,a.mp4",
    "the other order": "b.mp4,w.wav,a.mp4\na.mp4,w.wav,x.mp4",
    "another row's sound": "a.mp4,w.wav,x.mp4\na.mp4,b.mp4,y.mp4\na.mp4,w.wav,b.mp4",
    "one result": "a.mp4,w.wav,o.mp4\nb.mp4,w.wav,sub/../o.mp4",
    "one result by a linked folder": "a.mp4,w.wav,o.mp4\nb.mp4,w.wav,linked/o.mp4",
    "outside": "a.mp4,w.wav,../x.mp4",
    "outside by a detour": "a.mp4,w.wav,sub/../../x.mp4",
    "an absolute one": "a.mp4,w.wav,/tmp/x.mp4",
    "the list itself": "a.mp4,w.wav,l.mp4",
    "a name with a NUL": "a.mp4,w.wav,x\0.mp4",
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_rows_of_a_list(here: Path, rows: str) -> None:
    listing = here / ("l.mp4" if "l.mp4" in rows else "l.csv")
    listing.write_text(f"video,audio,output\n{rows}\n")
    if listing.suffix == ".mp4":
        listing.rename(here / "l.csv")
        os.link(here / "l.csv", listing)
    assert refused(here, "--filelist", "l.csv", "--sample_path", ".")


TWICE = ("a.mp4,w.wav,b_orig.mp4\na.mp4,w.wav,b.mp4", "a.mp4,w.wav,b.mp4", "a.mp4,w.wav,y.mp4\na.mp4,w.wav,y_orig.mp4")
FOREIGN = ("my notes\n", '{"mine": 1}\n', "[1]\n", '{"output": "x", "mine": 1}\n', "[" * 100_000)


@pytest.mark.parametrize("rows", TWICE)
def test_originals_of_a_list(here: Path, rows: str) -> None:
    (here / "l.csv").write_text(f"video,audio,output\n{rows}\nb_orig.mp4,w.wav,z.mp4\n")
    assert refused(here, "--filelist", "l.csv", "--sample_path", ".", "--save_orig")


@pytest.mark.parametrize("form", ["a one", "one a"])
def test_names_without_endings(here: Path, form: str) -> None:
    (here / "a_one.mp4").write_bytes((here / "a.mp4").read_bytes())
    (here / "one.wav").write_bytes(b"")
    (here / "one.mp4").write_bytes((here / "a.mp4").read_bytes())
    (here / "l.txt").write_text("a one\na_one one\n" if form == "a one" else "one a_one\na one\n")
    assert refused(here, "--filelist", "l.txt", "--sample_path", ".")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["l.report.jsonl", "l.report.2024.jsonl", "l.report.0.jsonl", "l.report.log"])
@pytest.mark.parametrize("text", FOREIGN)
def test_what_is_called_as_a_report_and_is_none(here: Path, name: str, text: str, checkpoint: Path) -> None:
    (here / "l.csv").write_text("video,audio,output\na.mp4,w.wav,x.mp4\n")
    (here / name).write_text(text)
    model = ["--model_path", str(checkpoint), "--face_detector", "haar"]
    assert refused(here, "--filelist", "l.csv", "--sample_path", ".", *model)


@pytest.mark.slow
def test_a_users_folder_beside_the_result_stays(here: Path, checkpoint: Path) -> None:
    """Even one that looks a little like ours."""
    mine = [here / "x.mp4.parts" / name for name in ("notes.txt", "0123456789abcdef/00000000-00000320.mp4")]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    run = ["--video", "a.mp4", "--audio", "w.wav", "-o", "x.mp4", "--model_path", str(checkpoint),
           "--face_detector", "haar", "--no_cache"]  # fmt: skip
    assert generate(run) == 0 and all(path.read_bytes() == b"mine" for path in mine)
    assert len(list((here / "x.mp4.parts").rglob("*"))) == 3 and (here / "x.mp4").exists()


@pytest.mark.slow
def test_a_long_name_works(here: Path, checkpoint: Path) -> None:
    name = "ä" * 125 + ".mp4"  # 254 bytes
    (here / "sub" / "l.csv").write_text(json.dumps({"video": "../a.mp4", "audio": "../w.wav", "output": name}))
    listing = (here / "sub" / "l.csv").rename(here / "sub" / ("l" * 248 + ".jsonl"))
    run = ["--filelist", str(listing), "--sample_path", "out", "--model_path", str(checkpoint),
           "--face_detector", "haar", "--no_cache"]  # fmt: skip
    assert generate(run) == 0
    assert {path.suffix for path in (here / "out").iterdir()} == {".mp4", ".jsonl"}


def test_short_names_keep_their_neighbours_name() -> None:
    assert companion(Path("x.mp4"), ".parts") == Path("x.mp4.parts")
    one, other = (companion(Path("y" * 250 + end), ".parts") for end in (".mp4", ".mov"))
    assert one != other and len(one.name) == len(other.name) == 255


@pytest.mark.slow
def test_two_runs_of_one_result(here: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--video", "a.mp4", "--audio", "w.wav", "-o", "x.mp4", "--model_path", str(checkpoint),
           "--face_detector", "haar", "--no_cache"]  # fmt: skip
    segment = here / "x.mp4.parts" / "0123456789abcdef" / MARK
    segment.parent.mkdir(parents=True)
    segment.touch()
    with locked(here / "x.mp4.parts" / "lock", here / "x.mp4"):
        assert generate(run) == 2 and "another run" in capsys.readouterr().err and segment.exists()
    assert generate(run) == 0 and not segment.exists()


def test_two_runs_of_one_list(here: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "l.csv").write_text("video,audio,output\na.mp4,w.wav,x.mp4\n")
    with locked(here / ".l.lock", here / "l.csv"):
        assert generate(["--filelist", "l.csv", "--sample_path", ".", "--model_path", str(checkpoint)]) == 2
    assert "another run" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-o", "--motion_out"])
def test_a_pipe_is_no_place_for_a_result(here: Path, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A rename would put a file in its place, and who reads the pipe would wait for ever."""
    pipe = here / ("p.mp4" if flag == "-o" else "p.npz")
    os.mkfifo(pipe)
    assert refused(here, "--video", "a.mp4", "--audio", "w.wav", "-o", "r.mp4", flag, str(pipe))
    assert pipe.is_fifo()
    check_error(capsys.readouterr().err, flag if flag != "-o" else "--output", pipe, "pipe")


def test_nothing_whole_replaces_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with fails(Unwritable, "pipe"), atomic(tmp_path / "pipe"):
        raise AssertionError("written")
    assert [path.is_fifo() for path in tmp_path.iterdir()] == [True]
