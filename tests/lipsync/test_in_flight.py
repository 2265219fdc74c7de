"""Of a list several results are made at once: the same files, each failing alone, and Ctrl-C ends them all."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from lipsync.cli.main import generate
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering import frame_source
from lipsync.rendering.render_job import RenderJob
from tests.helpers.talking_head import tone

ROWS = 5


@pytest.fixture
def here(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tone(tmp_path / "w.wav", 0.4)
    rows = []
    for number in range(ROWS):
        shutil.copy(folder / "person.mp4", tmp_path / f"{number}.mp4")
        rows.append(f"{number}.mp4,w.wav,{number}.mp4,{number}")
    (tmp_path / "l.csv").write_text("\n".join(["video,audio,output,crf", *rows]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(checkpoint: Path, output: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(frame_source, "at_once", lambda device: at_once)
    return generate(["--filelist", "l.csv", "--sample_path", output, "--model_path", str(checkpoint), "--batch", "4",
                     "--box", "20,150,80,200", "--device", "cpu", "--no_cache"])  # fmt: skip


def made(here: Path, output: str) -> list[bytes]:
    return [(here / output / f"{number}.mp4").read_bytes() for number in range(ROWS)]


@pytest.mark.slow
def test_the_files_are_the_same_however_many_are_made_at_once(
    here: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, most, lock = set(), [0], threading.Lock()
    before, met = LipSyncPipeline.render, threading.Barrier(2)

    def rendering(self: LipSyncPipeline, job: RenderJob, *args: object) -> None:
        with lock:
            together.add(job.info.path.name)
            most[0] = max(most[0], len(together))
            begun.append(job.info.path.name)
            waits = len(begun) in (ROWS + 1, ROWS + 2)
        if waits:  # the first two of the second run wait for each other
            met.wait(60)
        before(self, job, *args)  # type: ignore[arg-type]
        with lock:
            together.discard(job.info.path.name)

    monkeypatch.setattr(LipSyncPipeline, "render", rendering)
    begun: list[str] = []
    for count in (1, 3):
        most[0] = 0
        assert run(checkpoint, f"out{count}", count, monkeypatch) == 0
        assert most[0] <= count and (count == 1 or most[0] > 1)
    assert made(here, "out1") == made(here, "out3")
    lines = [json.loads(line) for line in (here / "out3" / "l.report.jsonl").read_text().splitlines()]
    assert sorted(line["output"] for line in lines) == [f"{number}.mp4" for number in range(ROWS)]
    assert not [path for path in (here / "out3").iterdir() if path.name.endswith(".parts")]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["prepare", "render", "join"])
def test_what_fails_fails_alone(
    here: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = getattr(LipSyncPipeline, step)

    def breaks(self, of, *args, **others):  # type: ignore[no-untyped-def]
        info = of.info if step == "render" else of.media.info
        if info.path.name in ("1.mp4", "2.mp4"):
            raise ZeroDivisionError("1 / 0")
        return before(self, of, *args, **others)

    monkeypatch.setattr(LipSyncPipeline, step, breaks)
    assert run(checkpoint, "out", 3, monkeypatch) == 5
    assert "2 of 5 failed" in capsys.readouterr().err
    assert sorted(path.name for path in (here / "out").glob("*.mp4")) == ["0.mp4", "3.mp4", "4.mp4"]
    monkeypatch.setattr(LipSyncPipeline, step, before)
    assert run(checkpoint, "out", 3, monkeypatch) == 0 and len(made(here, "out")) == ROWS


@pytest.mark.slow
def test_ctrl_c_ends_all_and_the_same_command_goes_on(
    here: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    join, first = threading.Thread.join, []

    def joined(self: threading.Thread, timeout: float | None = None) -> None:
        if self.name == "result" and not first:
            first.append(self)
            while not list((here / "out").glob("*.mp4")):
                join(self, 0.01)
            raise KeyboardInterrupt
        join(self, timeout)

    monkeypatch.setattr(threading.Thread, "join", joined)
    assert run(checkpoint, "out", 2, monkeypatch) == 130
    assert "the same command goes on with what is left" in capsys.readouterr().err
    stages = {"result", "read", "paste", "encode", "decode"}
    assert not stages & {thread.name for thread in threading.enumerate()}
    done = {path.name: path.stat().st_mtime_ns for path in (here / "out").glob("*.mp4")}
    assert 0 < len(done) < ROWS
    assert run(checkpoint, "out", 2, monkeypatch) == 0
    assert len(made(here, "out")) == ROWS
    assert all((here / "out" / name).stat().st_mtime_ns == when for name, when in done.items())


def test_a_cpu_makes_two_at_once_if_it_has_threads_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert frame_source.at_once(torch.device("cpu")) == 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert [frame_source.at_once(torch.device(name)) for name in ("cpu", "cuda:1", "mps")] == [2, 3, 1]
