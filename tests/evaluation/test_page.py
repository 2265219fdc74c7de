"""The page stands alone, and shows what was found."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics.metric import Figure
from evaluation.metrics.mouth import opening
from evaluation.protocol import PROTOCOLS
from evaluation.report.files import ENDINGS, write
from evaluation.report.page import as_page, ranking
from evaluation.report.results import PASTED, REAL, RESULT, SUBJECTS, Cell, Evaluation, Problem, Row, Scores
from evaluation.report.sheet import contact_sheet
from evaluation.report.tables import _inert, as_csv, as_json, as_markdown, cells
from tests.helpers.video_samples import mouths, noise, video_sample

LSE = Figure("LSE-D", "", "down", "somebody <once>")
MISSING = Figure("FID", "", "down", "somebody else")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
VOID = {"meta", "img"}


def evaluation(clips: int = 8) -> Evaluation:
    def scores(k: int) -> Scores:
        curve = opening(mouths(0.3 + 0.2 * np.sin(np.arange(30) + k))).astype(np.float32)
        curve[10:12] = np.nan
        shown = video_sample(noise(7, seed=k), wide=noise(7, 224, k))
        values = {RESULT: {"LSE-D": 7.0 + k}, REAL: {"LSE-D": 6.5}, PASTED: {"LSE-D": None}}
        return Scores(f"clip <{k}>", 30, values, {RESULT: curve, REAL: curve[::-1]}, contact_sheet(shown, shown))

    measured = {RESULT: Cell(9.0, (8.0, 10.0)), REAL: Cell(6.5), PASTED: Cell(note="no clip has it")}
    rows = [
        Row(MISSING, dict.fromkeys(SUBJECTS, Cell(note="not measured (weights: a.pth)")), 0), Row(LSE, measured, clips)
    ]
    problems = [Problem("gone | away", "missing", "there is no such result")]
    return Evaluation(
        PROTOCOLS["cross"], rows, [scores(k) for k in range(clips)], problems, {"b.pth": "00"}, {"a.pth": "http://x/a"}
    )


class Balance(HTMLParser):
    """What is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.slow
def test_the_page_is_well_formed_and_asks_for_nothing_from_elsewhere() -> None:
    page = as_page(evaluation())
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    links = [value for name, value in parser.attributes if name in ("src", "href", "srcset", "action")]
    assert links and all(re.match("data:image/(jpeg|svg[+]xml);base64,", link) for link in links)
    assert "<script" not in page and "url(" not in page and "@import" not in page


@pytest.mark.slow
def test_worst_and_best_are_shown_with_sheets_and_curves() -> None:
    found = evaluation()
    row, clips = ranking(found)
    assert row.figure == LSE and [clip.name for clip in clips[:2]] == ["clip <7>", "clip <6>"]
    page = as_page(found)
    assert page.count("data:image/jpeg") == 6
    assert page.count("data:image/svg+xml") == 6 + 1  # a curve beside each sheet, and the histograms
    assert "clip &lt;7&gt;" in page and "clip <7>" not in page
    assert ranking(Evaluation(PROTOCOLS["cross"], [], [], [])) is None
    assert "data:" not in as_page(evaluation(0)) and as_page(evaluation(1)).count("data:image/jpeg") == 1


@pytest.mark.slow
def test_what_is_not_measured_is_said_once_and_where_to_get_it() -> None:
    found = evaluation()
    assert cells(found.rows[0]) == ["not measured (weights: a.pth)", "", ""]
    for text in (as_markdown(found), as_page(found)):
        assert text.count("not measured (weights: a.pth)") == 1 and "http://x/a" in text
        assert "9.000 [8.000, 10.000]" in text and "gone" in text and "scripts/download_weights.py" in text
    assert r"gone | away: missing" in as_markdown(found)


def test_csv_and_json_hold_every_clip_and_what_was_left_out() -> None:
    found = evaluation(2)
    lines = as_csv(found).splitlines()
    assert lines[0] == "clip,state,subject,frames,FID,LSE-D"
    assert lines[1] == "clip <0>,evaluated,result,30,,7.0" and len(lines) == 1 + 2 * 3 + 1
    assert lines[-1] == "gone | away,missing,,,,"
    assert '"value": 9.0' in as_json(found) and '"flaw": "missing"' in as_json(found)


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no chromium here")
def test_a_browser_renders_it_without_errors(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(as_page(evaluation()), encoding="utf-8")
    command = [
        BROWSER, "--headless", "--disable-gpu", "--no-sandbox", f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.count("<table") == as_page(evaluation()).count("<table")
    assert not re.search(r"CONSOLE.*(error|refused|failed)", done.stderr, re.IGNORECASE)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_name_is_a_formula(name):
    assert _inert(name) == f"'{name}" and _inert(f"a{name}") == f"a{name}"


def test_reports_are_written_whatever_a_clip_is_called(tmp_path: Path) -> None:
    odd = "caf\udce9"  # as Python reads a name that is no UTF-8
    found = replace(evaluation(1), problems=[Problem(odd, "missing", "there is no such result")])
    write(found, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["left_out"][0]["name"] == odd
    assert all(r"caf\udce9" in (tmp_path / f"report.{ending}").read_text(encoding="utf-8") for ending in ENDINGS)
