"""What a report says is finished stays finished, whenever the run that wrote it died."""

import json
import os
from pathlib import Path

import pytest

from core.errors import Mismatch
from dataset.report import Report
from tests.helpers.failing import fails

SETTINGS = {"size": 128, "held_out": 0.1, "expert": None}
ODD = ["a\u2028b.mp4", "a\x85b.mp4", os.fsdecode(b"caf\xe9.mp4"), "für dich.mp4"]


def filled(folder: Path) -> Report:
    report = Report(folder, SETTINGS)
    report.finish("a.mp4", [{"begin": 0.0, "clip": "train/ann/a__000.npz"}, {"begin": 2.0, "skipped": "no face"}])
    report.fail("b.mp4", "b.mp4: the file is empty")
    report.finish("c.mp4", [])
    return report


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]


def test_every_line_says_what_became_of_which_video(tmp_path: Path) -> None:
    filled(tmp_path / "prepared")
    assert lines(tmp_path / "prepared") == [
        SETTINGS,
        {"source": "a.mp4", "begin": 0.0, "clip": "train/ann/a__000.npz"},
        {"source": "a.mp4", "begin": 2.0, "skipped": "no face"},
        {"source": "a.mp4", "finished": True, "clips": 1},
        {"source": "b.mp4", "failed": "b.mp4: the file is empty"},
        {"source": "c.mp4", "finished": True, "clips": 0},
    ]


def test_it_goes_on_and_what_failed_is_tried_again(tmp_path: Path) -> None:
    filled(tmp_path)
    again = Report(tmp_path, SETTINGS)
    assert again.finished == {"a.mp4", "c.mp4"}
    again.finish("b.mp4", [])
    assert [line["source"] for line in lines(tmp_path)[1:]] == ["a.mp4"] * 3 + ["c.mp4", "b.mp4"]


@pytest.mark.parametrize("lost", [2, 20, 60, 200])
def test_a_line_cut_short_costs_its_video_alone(tmp_path: Path, lost: int) -> None:
    filled(tmp_path)
    whole = (tmp_path / "report.jsonl").read_bytes()
    (tmp_path / "report.jsonl").write_bytes(whole[:-lost])
    finished = Report(tmp_path, SETTINGS).finished
    assert finished <= {"a.mp4", "c.mp4"} and "c.mp4" not in finished
    assert {line["source"] for line in lines(tmp_path)[1:]} == finished


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"size": 96}, ["--size 128", "pass that"]),
        ({"held_out": 0.2}, ["--held_out 0.1", "pass that"]),
        ({"expert": "sync.safetensors"}, ["without --expert", "leave that out"]),
        ({"held_out": None}, ["--held_out 0.1", "scripts/prepare.py"]),
    ],
)
def test_what_makes_other_clips_is_refused(tmp_path: Path, other: dict[str, object], named: list[str]) -> None:
    filled(tmp_path)
    before = (tmp_path / "report.jsonl").read_bytes()
    with fails(Mismatch, tmp_path, *named, "--output"):
        Report(tmp_path, SETTINGS | other)  # type: ignore[arg-type]
    assert (tmp_path / "report.jsonl").read_bytes() == before


def test_settings_may_change_while_there_is_no_clip(tmp_path: Path) -> None:
    Report(tmp_path, SETTINGS).fail("a.mp4", "a.mp4: the file is empty")
    Report(tmp_path, SETTINGS | {"held_out": 0.2})
    (tmp_path / "train" / "ann").mkdir(parents=True)
    (tmp_path / "train" / "ann" / "a__000.npz").touch()  # of a video that is not finished
    with fails(Mismatch, "--held_out 0.2"):
        Report(tmp_path, SETTINGS)


def test_what_one_run_does_not_say_the_next_still_knows(tmp_path: Path) -> None:
    """Clips of a list are held out by the list."""
    filled(tmp_path)
    Report(tmp_path, {"size": 128, "expert": None})
    with fails(Mismatch, "--held_out 0.1"):
        Report(tmp_path, SETTINGS | {"held_out": 0.2})


def test_a_report_of_before_goes_on_and_remembers_from_then_on(tmp_path: Path) -> None:
    lines = [{"size": 128}, *({"source": name, "finished": True, "clips": 0} for name in ODD if "\udce9" not in name)]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (tmp_path / "report.jsonl").write_text(text, encoding="utf-8")
    assert Report(tmp_path, SETTINGS).finished == {name for name in ODD if "\udce9" not in name}
    with fails(Mismatch, "--held_out 0.1"):
        Report(tmp_path, SETTINGS | {"held_out": 0.2})
    with fails(Mismatch, "--size 128"):
        Report(tmp_path, SETTINGS | {"size": 96})


@pytest.mark.parametrize("name", ODD)
def test_a_video_may_have_any_name(tmp_path: Path, name: str) -> None:
    report = Report(tmp_path, SETTINGS)
    report.finish(name, [{"begin": 0.0, "clip": f"train/ann/{name}"}])
    report.fail(f"b {name}", f"{name}: the file is empty")
    assert Report(tmp_path, SETTINGS).finished == {name}
