"""A list by a system whose frames follow each other: short results are made together, and none hurts another."""

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from test_chain import SETTINGS, speaking  # noqa: F401, a fixture
from test_lanes import short_chunks  # noqa: F401, a fixture
from test_many_processes import run

from core.errors import OutOfMemory, Stopped
from guided_diffusion.engine.distributed import Group
from lipsync.jobs.filelist_runner import FilelistRunner
from lipsync.jobs.item import FilelistItem
from lipsync.jobs.job import Job
from lipsync.jobs.manifest import Manifest
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering.frame_source import AutoregressiveFrames, StepInput
from tests.helpers.failing import fails
from tests.helpers.talking_head import talking, tone
from video import read_frames, write_video

FRAMES = {"a": 5, "b": 7, "c": 3, "long": 19}  # of the sounds; a segment has 8

pytestmark = pytest.mark.usefixtures("short_chunks")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    for name, count in (("anna", 12), ("bert", 9)):
        write_video(data / f"{name}.mp4", talking(count), Fraction(25))
    (data / "broken.mp4").write_text("no video")
    for name, count in FRAMES.items():
        tone(data / f"{name}.wav", count / 25)
    return data


def listed(data: Path, out: Path) -> list[FilelistItem]:
    names = [(v, s) for s in FRAMES for v in ("anna", "broken", "bert")]
    settings = replace(SETTINGS, length="audio", batch=4)
    return [
        FilelistItem(v + s, Job(data / f"{v}.mp4", data / f"{s}.wav", out / f"{v}_{s}.mp4"), settings) for v, s in names
    ]


def batch(model: Path, out: Path) -> FilelistRunner:
    out.mkdir(exist_ok=True)
    return FilelistRunner(
        LipSyncPipeline(model, replace(SETTINGS, length="audio", batch=4)), Group(), manifest=Manifest(out, "list")
    )


def made(out: Path) -> dict[str, np.ndarray]:
    return {path.name: np.stack(list(read_frames(path))) for path in sorted(out.glob("*.mp4"))}


def listen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames were asked for at a time."""
    counts: list[int] = []
    answer = AutoregressiveFrames.next_frames

    def next_frames(self: AutoregressiveFrames, asked: Mapping[int, StepInput], side: int):  # type: ignore[no-untyped-def]
        assert side == 4 or (len(asked) <= side == 3)  # a list's, or the chunks of a long result
        counts.append(len(asked))
        return answer(self, asked, side)

    monkeypatch.setattr(AutoregressiveFrames, "next_frames", next_frames)
    return counts


@pytest.mark.slow
def test_short_results_are_made_together_and_a_broken_video_stops_none(
    speaking: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    counts = listen(monkeypatch)
    items = listed(data, tmp_path / "out")
    account = batch(speaking, tmp_path / "out").run(items)
    assert (account.done, account.frames, len(account.problems)) == (8, 2 * sum(FRAMES.values()), 4)
    videos = made(tmp_path / "out")
    assert {name: len(frames) for name, frames in videos.items()} == {
        f"{v}_{s}.mp4": count for v in ("anna", "bert") for s, count in FRAMES.items()
    }
    short = 2 * (5 + 7 + 3)
    assert sum(counts) == account.frames and counts[: counts.index(3)].count(1) < short / 2
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".jsonl"] + [".mp4"] * 8

    counts.clear()
    for name in ("bert_a.mp4", "anna_long.mp4"):
        (tmp_path / "out" / name).unlink()
    assert batch(speaking, tmp_path / "out").run(items).done == 2 and set(counts[:5]) == {1}
    again = made(tmp_path / "out")
    assert all(np.array_equal(again[name], frames) for name, frames in videos.items())  # whoever is beside it


@pytest.mark.slow
def test_a_frame_that_is_no_picture_is_the_fault_of_its_result_alone(
    speaking: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    items = [item for item in listed(data, tmp_path) if "broken" not in item.where and "long" not in item.where]
    flawed = batch(speaking, tmp_path)
    speak, calls = flawed.pipeline.models.synthesizer.sampler, []

    def speaker(clips):  # type: ignore[no-untyped-def]
        spoken = speak(clips).clone()
        calls.append(len(spoken))
        if len(calls) == 2:
            spoken[1] = float("nan")
        return spoken

    monkeypatch.setattr(flawed.pipeline.models.synthesizer, "sampler", speaker)
    account = flawed.run(items)
    assert account.done == len(items) - 1 and ["gives no picture" in str(p) for p in account.problems] == [True]
    assert len(made(tmp_path)) == account.done and not list(tmp_path.glob("*.parts"))


@pytest.mark.slow
def test_without_memory_for_one_frame_each_is_accounted_for(
    speaking: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    items = [item for item in listed(data, tmp_path) if "broken" not in item.where]
    full = batch(speaking, tmp_path)

    def speaker(clips):  # type: ignore[no-untyped-def]
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(full.pipeline.models.synthesizer, "sampler", speaker)
    account = full.run(items)
    assert account.done == 0 and len(account.problems) == len(items)
    assert all(isinstance(problem, OutOfMemory) for problem in account.problems) and not list(tmp_path.glob("*.m*"))


@pytest.mark.slow
def test_ctrl_c_ends_all_lanes_and_leaves_nothing_half_done(
    speaking: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    stopped = batch(speaking, tmp_path)
    speak, calls = stopped.pipeline.models.synthesizer.sampler, []

    def speaker(clips):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return speak(clips)

    monkeypatch.setattr(stopped.pipeline.models.synthesizer, "sampler", speaker)
    with fails(Stopped, "same command goes on"):
        stopped.run(listed(data, tmp_path))
    assert {path.suffix for path in tmp_path.iterdir()} <= {".mp4", ".jsonl"}


@pytest.mark.slow
def test_three_processes_make_what_one_makes(speaking: Path, data: Path, tmp_path: Path) -> None:  # noqa: F811
    rows = [f"{v}.mp4,{s}.wav" for s in FRAMES for v in ("anna", "broken", "bert")]
    (tmp_path / "list.csv").write_text("\n".join(["video,audio", *rows, ""]))
    results = []
    for size in (1, 3):
        out = tmp_path / f"{size}"
        codes, said = run(
            ["--model_path", speaking, "--device", "cpu", "--precision", "fp32", "--steps", "1", "--batch", "4",
             "--box", "10,150,60,200", "--filelist", tmp_path / "list.csv", "--test_video_dir", data,
             "--sample_path", out], size=size,
        )  # fmt: skip
        assert codes[0] == 5 and "4 of 12" in said and "Traceback" not in said
        results.append(made(out))
        lines = [json.loads(line) for line in (out / "list.report.jsonl").read_text().splitlines()]
        assert [line["output"] for line in lines] == [f"{r.split('.')[0]}_{r.split(',')[1][:-4]}.mp4" for r in rows]
    one, three = results
    assert len(one) == 8 and all(np.array_equal(three[name], frames) for name, frames in one.items())


