"""The figures of stage 2 are figures of what it says they are."""

import re
from pathlib import Path

import pytest

from dataset import save_clip
from evaluation.cli import main
from evaluation.commands import render
from systems.registry import SMALL_DIFF2LIP
from tests.helpers.failing import check_error
from tests.helpers.tiny_style import save
from tests.helpers.toy import talking


def measured(*flags: object) -> int:
    return main(["render", "--device", "cpu", *map(str, flags)])


@pytest.mark.slow
def test_a_model_that_is_told_no_motion_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measured("--data", tmp_path, "--model_path", SMALL_DIFF2LIP) == 2
    check_error(capsys.readouterr().err, "python -m evaluation reconstruct")


@pytest.mark.slow
def test_every_way_and_every_cost_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "SECONDS", 1)
    for number, (split, speaker) in enumerate([("seen", "ann"), ("seen", "bob"), ("test", "eve"), ("test", "fay")]):
        save_clip(tmp_path / "data" / split / speaker / f"{number}.npz", talking(number, frames=12))
    (tmp_path / "model").mkdir()
    assert measured("--data", tmp_path / "data", "--model_path", save(tmp_path / "model"), "--frames", 2) == 0
    printed = capsys.readouterr().out
    assert len(re.findall(r"^\| own motion \| -?\d", printed, re.MULTILINE)) == 2
    rows = dict(re.findall(r"^\| ((?:stage|diff)[^|]*?) \| ([\d.]+) \|", printed, re.MULTILINE))
    assert len(rows) == 5 and float(rows["stage 2: rendered"]) > 0
