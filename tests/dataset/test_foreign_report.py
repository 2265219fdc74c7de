"""A report.jsonl that is not ours stays as it is."""

from pathlib import Path

import pytest

from core.errors import Unreadable
from dataset.report import Report
from tests.helpers.failing import fails

TEXTS = ("my list\n", '{"mine": 1}\n', "[]\n", '{"size": 8}\n{"size":\n', '{"size": 8}\n3\n', "x")


@pytest.mark.parametrize("text", TEXTS)
def test_a_foreign_or_broken_report_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.jsonl"
    path.write_text(text)
    with fails(Unreadable, "report.jsonl, line ", "--output"):
        Report(tmp_path, {"size": 8})
    assert path.read_text() == text


def test_a_line_that_a_kill_tore_goes(tmp_path: Path) -> None:
    Report(tmp_path, {"size": 8}).finish("a.mp4", [])
    with (tmp_path / "report.jsonl").open("a") as file:
        file.write('{"source": "b.m')
    assert Report(tmp_path, {"size": 8}).finished == {"a.mp4"}
