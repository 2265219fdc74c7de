"""In a list any problem of one row, a bug of ours too, is that row's alone."""

import json
import shutil
from pathlib import Path

import pytest

from core.errors import BadInput
from lipsync.cli.main import generate
from lipsync.jobs.manifest import Manifest
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering.lockstep import LockstepBatcher
from tests.helpers.failing import fails


@pytest.fixture
def here(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a", "b", "c"):
        shutil.copy(folder / "person.mp4", tmp_path / f"{name}.mp4")
    shutil.copy(folder / "words.wav", tmp_path / "w.wav")
    (tmp_path / "l.csv").write_text("video,audio,output\na.mp4,w.wav,a.mp4\nb.mp4,w.wav,b.mp4\nc.mp4,w.wav,c.mp4\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(checkpoint: Path, *more: str) -> int:
    return generate(["--filelist", "l.csv", "--sample_path", "out", "--model_path", str(checkpoint),
                     "--face_detector", "haar", *more])  # fmt: skip


def lines(here: Path) -> dict[str, dict[str, object]]:
    texts = (here / "out" / "l.report.jsonl").read_text().splitlines()
    return {line["output"]: line for line in map(json.loads, texts)}


@pytest.mark.slow
@pytest.mark.parametrize("step", ["prepare", "render"])
def test_a_bug_in_one_row(here, checkpoint, monkeypatch, capsys, step):
    before = getattr(LipSyncPipeline, step)

    def breaks(self, of, *args, **kwargs):
        info = of.media.info if step == "prepare" else of.info
        if info.path.name == "b.mp4":
            raise ZeroDivisionError("1 / 0")
        return before(self, of, *args, **kwargs)

    monkeypatch.setattr(LipSyncPipeline, step, breaks)
    assert run(checkpoint) == 5
    report = lines(here)
    assert report["a.mp4"]["error"] is report["c.mp4"]["error"] is None
    assert "bug" in report["b.mp4"]["error"] and "l.report.log" in report["b.mp4"]["error"]
    log = (here / "out" / "l.report.log").read_text()
    assert "Traceback" in log and "ZeroDivisionError" in log and "b.mp4" in log
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setattr(LipSyncPipeline, step, before)
    assert run(checkpoint) == 0 and (here / "out" / "b.mp4").exists()


@pytest.mark.slow
def test_a_row_that_cannot_be_used(here, checkpoint, capsys):
    """Its number is out of range: the others are made, and the report has its sentence, without any of its files."""
    rows = "a.mp4,w.wav,a.mp4,20\nb.mp4,w.wav,b.mp4,1e30\nc.mp4,w.wav,,nan\n"
    (here / "l.csv").write_text(f"video,audio,output,crf\n{rows}")
    assert run(checkpoint) == 5
    report = lines(here)
    assert report["a.mp4"]["error"] is None and "row 3: " in report["b.mp4"]["error"]
    assert "row 4: " in report["l, row 4"]["error"] and "2 of 3" in capsys.readouterr().err


def test_a_bug_of_a_single_result_raises(here, checkpoint, monkeypatch):
    monkeypatch.setattr(LipSyncPipeline, "prepare", None)
    with pytest.raises(TypeError):
        generate(["--video", "a.mp4", "--audio", "w.wav", "-o", "x.mp4", "--model_path", str(checkpoint),
                  "--face_detector", "haar"])  # fmt: skip


@pytest.mark.slow
def test_no_room_for_the_report(here, checkpoint, monkeypatch, capsys):
    """What was made counts, and the exit code says that something went wrong."""
    def full(self, line):
        raise BadInput("l.report.0.jsonl: the report cannot be written")

    monkeypatch.setattr(Manifest, "_append", full)
    assert run(checkpoint) == 5 and (here / "out" / "c.mp4").exists()
    assert "cannot be written" in capsys.readouterr().err


def test_a_bug_of_one_batch_is_of_those_that_asked():
    heard = {}

    def answer(asked):
        return {place: ZeroDivisionError() if place == 1 else 10 * question for place, question in asked.items()}

    def work(place):
        def speak(ask):
            try:
                heard[place] = ask(place)
            except ZeroDivisionError:
                heard[place] = None

        return speak

    LockstepBatcher(answer).run({place: [work(place)] for place in range(3)})
    assert heard == {0: 0, 1: None, 2: 20}


def test_threads_that_cannot_start_end_the_lanes(monkeypatch):
    def none_left(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", none_left)
    with fails(RuntimeError, "new thread"):
        LockstepBatcher(lambda asked: asked).run({0: [lambda ask: ask(1)]})
