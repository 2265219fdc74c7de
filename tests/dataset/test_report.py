"""What a report says is finished stays finished, whenever the run that wrote it died."""

import json
from pathlib import Path

import pytest

from core.errors import Mismatch
from dataset.report import Report
from tests.helpers.failing import fails


def filled(folder: Path) -> Report:
    report = Report(folder, 128)
    report.finish("a.mp4", [{"begin": 0.0, "clip": "train/ann/a__000.npz"}, {"begin": 2.0, "skipped": "no face"}])
    report.fail("b.mp4", "b.mp4: the file is empty")
    report.finish("c.mp4", [])
    return report


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]


def test_every_line_says_what_became_of_which_video(tmp_path: Path) -> None:
    filled(tmp_path / "prepared")
    assert lines(tmp_path / "prepared") == [
        {"size": 128},
        {"source": "a.mp4", "begin": 0.0, "clip": "train/ann/a__000.npz"},
        {"source": "a.mp4", "begin": 2.0, "skipped": "no face"},
        {"source": "a.mp4", "finished": True, "clips": 1},
        {"source": "b.mp4", "failed": "b.mp4: the file is empty"},
        {"source": "c.mp4", "finished": True, "clips": 0},
    ]


def test_it_goes_on_and_what_failed_is_tried_again(tmp_path: Path) -> None:
    filled(tmp_path)
    again = Report(tmp_path, 128)
    assert again.finished == {"a.mp4", "c.mp4"}
    again.finish("b.mp4", [])
    assert [line["source"] for line in lines(tmp_path)[1:]] == ["a.mp4"] * 3 + ["c.mp4", "b.mp4"]


@pytest.mark.parametrize("lost", [2, 20, 60, 200])
def test_a_line_cut_short_costs_its_video_alone(tmp_path: Path, lost: int) -> None:
    filled(tmp_path)
    whole = (tmp_path / "report.jsonl").read_bytes()
    (tmp_path / "report.jsonl").write_bytes(whole[:-lost])
    finished = Report(tmp_path, 128).finished
    assert finished <= {"a.mp4", "c.mp4"} and "c.mp4" not in finished
    assert {line["source"] for line in lines(tmp_path)[1:]} == finished


def test_another_size_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with fails(Mismatch, tmp_path, "--size 128", "--output"):
        Report(tmp_path, 96)
