"""Videos and sounds that are cut off: used as far as they go, said once a run, and named by its report."""

import json
from collections.abc import Callable
from contextlib import redirect_stderr
from fractions import Fraction
from pathlib import Path

import pytest

from core import progress
from core.beside import ahead
from lipsync import LipSync
from lipsync.cli.main import generate
from tests.helpers.failing import check_sentence
from tests.helpers.talking_head import talking, tone
from video import write_video
from web.worker import Answer, Desk, Notes

FLAGS = ["--device", "cpu", "--precision", "fp32", "--face_detector", "haar", "--no_cache", "--threads", "1",
         "--strict_pose", "force", "--length", "video"]  # fmt: skip


@pytest.fixture
def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a video of 20 frames, of which fewer are there, and a sound of 1 s, of which 0.5 are."""
    progress.say_anew()
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "person.mp4", talking(20), Fraction(25))
    tone(tmp_path / "words.wav", 1.0)
    for name, left in (("person.mp4", 0.8), ("words.wav", 0.5)):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: int(len(data) * left)])
    return tmp_path


def check(sentences: list[str]) -> None:
    """One of each file."""
    assert len(sentences) == 2
    for sentence, name, expected in zip(sentences, ("person.mp4", "words.wav"), ("0.80 s", "1.00 s"), strict=True):
        check_sentence(sentence, name, "cut off", expected)


@pytest.mark.slow
def test_one_result_says_and_reports_it(
    cut: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--video", "person.mp4", "--audio", "words.wav", "-o", "out.mp4", "--model_path", str(checkpoint), *FLAGS]
    assert generate([*args, "--json"]) == 0
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    (result,) = [event for event in events if event["event"] == "result"]
    assert 5 < result["frames"] < 20
    check(result["warnings"])
    check([line for line in err.splitlines() if "cut off" in line and not line.startswith("warning")])
    check([event["text"] for event in events if event["event"] == "message"])


@pytest.mark.slow
def test_a_list_says_it_once_and_reports_it_of_each_row(
    cut: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.csv").write_text("video,audio,output\nperson.mp4,words.wav,a.mp4\nperson.mp4,words.wav,b.mp4\n")
    assert generate(["--filelist", "list.csv", "--sample_path", "out", "--model_path", str(checkpoint), *FLAGS]) == 0
    check(sorted(line for line in capsys.readouterr().err.splitlines() if "cut off" in line))
    rows = [json.loads(line) for line in Path("out/list.report.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    for row in rows:
        check(row["report"]["warnings"])


@pytest.mark.slow
def test_each_call_of_the_api_says_and_reports_it(
    cut: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = LipSync.from_pretrained(
        checkpoint, device="cpu", precision="fp32", detector="haar", cache=None, strict_pose="force", length="video"
    )
    for name in ("a.mp4", "b.mp4"):
        check(model("person.mp4", "words.wav", name).warnings)
        check(sorted(line for line in capsys.readouterr().err.splitlines() if "cut off" in line))
    model.stream("person.mp4", length="audio")
    said = [line for line in capsys.readouterr().err.splitlines() if "cut off" in line]
    assert len(said) == 1 and "person.mp4" in said[0]


@pytest.mark.slow
def test_a_job_of_a_server_tells_its_visitor(cut: Path, checkpoint: Path) -> None:
    said: list[Answer] = []
    desk = Desk(checkpoint, "cpu", 1, said.append)
    for name in ("one", "two"):
        folder = cut / name
        folder.mkdir()
        order = {
            "kind": "video", "files": {"video": str(cut / "person.mp4"), "audio": str(cut / "words.wav")},
            "given": {"face_detector": "haar", "strict_pose": "force", "length": "video"}, "suffix": ".mp4",
            "folder": str(folder), "cache": str(cut / "cache"),
        }  # fmt: skip
        said.clear()
        with redirect_stderr(Notes(said.append)):
            answer = desk.do(order)
        check(answer["answer"]["warnings"])
        check(sorted(str(line["note"]) for line in said if "cut off" in str(line.get("note"))))


def in_a_thread(work: Callable[[], None]) -> None:
    with ahead((work() for _ in range(1)), 1, "test") as items:
        list(items)


def test_a_process_that_helps_another_leaves_the_saying_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    progress.say_anew()
    with progress.quiet():
        in_a_thread(lambda: progress.say_once("a"))
    assert capsys.readouterr().err == ""
    for _ in range(2):
        in_a_thread(lambda: progress.say_once("a"))
    assert capsys.readouterr().err == "a\n"
