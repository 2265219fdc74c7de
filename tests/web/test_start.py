"""What `python -m web` cannot work with is said before it says that it listens, whoever finds it out."""

import sys
from pathlib import Path

import pytest

from core.errors import LipSyncError, OutOfMemory
from tests.helpers.failing import check_error, check_sentence, fails
from web.__main__ import main
from web.crew import Crew
from web.files import Files

pytest_plugins = ("tests.helpers.web_fixtures",)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--device", "tpu"], "--device tpu"),
        (["--device", "cuda:x"], "--device cuda:x"),
        (["--device", "cpu,cpu"], "--device cpu,cpu"),
        (["--device", "cuda:0,"], "--device cuda:0,"),
        (["--device", ""], "--device"),
        (["--voice", "siri"], "--voice siri"),
        (["--threads", "100000"], "--threads 100000"),
        (["--face_restorer", "nowhere.onnx"], "--face_restorer nowhere.onnx"),
        (["--separator_rate", "5"], "--separator_rate 5"),
        (["--max_upload", "nan"], "--max_upload nan"),
    ],
)
def test_what_its_name_says_is_refused_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--data", "data", "--port", "0", *flags]) == 2
    out, err = capfd.readouterr()
    check_error(err, named)
    assert out == "" and not Path("data").exists()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["--model_path", "words.txt"], ["--face_occluder", "words.txt"]])
def test_what_a_worker_finds_out_is_said_before_the_server_listens(
    tmp_path: Path, model: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("no network " * 1000)
    own = [] if "--model_path" in flags else ["--model_path", str(model)]
    assert main(["--data", "data", "--port", "0", *own, *flags]) == 2
    out, err = capfd.readouterr()
    check_error(err, "words.txt")
    assert out == ""


WORKER = """
import json, os, sys
order = json.loads(sys.stdin.readline())
assert order == {{"kind": "check"}}
{}
"""
"""In place of a worker: takes the first order, then does what the test says."""


def crew(folder: Path, does: str) -> Crew:
    files = Files(folder)
    found = Crew(files.store, files, ["cpu", "cuda:7"], [])
    for process in found.processes.values():
        process._command = [sys.executable, "-c", WORKER.format(does)]
    files.store.close()
    return found


@pytest.mark.parametrize("code", [2, 4])
def test_a_worker_s_word_is_the_server_s(tmp_path: Path, code: int) -> None:
    does = f"print(json.dumps({{'error': '--device cuda:7: there is none', 'exit_code': {code}}}), flush=True)"
    made = crew(tmp_path, does + "; sys.stdin.read()")
    with pytest.raises(LipSyncError) as raised:
        made.check()
    check_sentence(str(raised.value), "--device cuda:7")
    assert raised.value.exit_code == code and not any(process.alive for process in made.processes.values())


def test_a_worker_that_memory_does_not_suffice_for(tmp_path: Path) -> None:
    with fails(OutOfMemory, "signal 9", "memory"):
        crew(tmp_path, "os.kill(os.getpid(), 9)").check()
