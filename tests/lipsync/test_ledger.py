"""The report of a list: nothing is lost, whoever writes it and however it is ended."""

import json
from pathlib import Path

import pytest

from lipsync.jobs.job import Job, Report
from lipsync.jobs.manifest import Manifest

REPORT = Report(25, 20, [(3, 7)], {"detect": 1.5}, 10**9, 25, 2, 8)


def job(folder, name):
    return Job(Path("v.mp4"), Path("a.wav"), folder / name)


def test_what_was_finished_is_known_to_all_processes_of_the_next_run(tmp_path):
    manifest, made, other = Manifest(tmp_path, "list", 1), job(tmp_path, "sub/ä.mp4"), job(tmp_path, "b.mp4")
    made.output.parent.mkdir()
    made.output.touch()
    manifest.done(made, "1234", REPORT)
    manifest.failed(other, "it is broken; mend it")
    again = Manifest(tmp_path, "list", 0)
    assert not again.finished(made, "1234", made.writes)  # what others do meanwhile does not count
    again.read()
    assert again.finished(made, "1234", made.writes) and not again.finished(made, "5678", made.writes)
    assert not again.finished(other, "", other.writes)
    original = tmp_path / "sub" / "ä_orig.mp4"
    assert not again.finished(made, "1234", [*made.writes, ("--save_orig", original)])
    original.touch()
    assert again.finished(made, "1234", [*made.writes, ("--save_orig", original)])
    made.output.unlink()
    assert not again.finished(made, "1234", made.writes)


def test_processes_reports_become_one_in_the_order_of_the_list(tmp_path):
    jobs = [job(tmp_path, f"{k}.mp4") for k in range(3)]
    Manifest(tmp_path, "list", 1).done(jobs[2], "x", REPORT)
    Manifest(tmp_path, "list", 10).failed(jobs[0], "no")
    Manifest(tmp_path, "list.more", 0).failed(jobs[1], "of another list")
    lines = Manifest(tmp_path, "list").merge(jobs)
    assert [(line.output, line.error) for line in lines] == [("0.mp4", "no"), ("2.mp4", None)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.more.report.0.jsonl", "list.report.jsonl"]
    stored = [json.loads(text) for text in (tmp_path / "list.report.jsonl").read_text().splitlines()]
    assert stored[1]["report"] | {"missing": [(3, 7)]} == stored[1]["report"] | {"missing": REPORT.missing}
    assert stored[1]["report"]["frames"] == 25 and stored[1]["video"] == "v.mp4"


def test_the_latest_line_counts_and_half_a_line_does_not(tmp_path):
    made = job(tmp_path, "a.mp4")
    Manifest(tmp_path, "list", 2).failed(made, "first")
    with (tmp_path / "list.report.2.jsonl").open("a") as file:
        file.write('{"output": "a.mp4", "vid')
    Manifest(tmp_path, "list", 2).done(made, "x", REPORT)
    (line,) = Manifest(tmp_path, "list").merge([made])
    assert line.error is None
    Manifest(tmp_path, "list", 0).failed(made, "then again")
    assert [line.error for line in Manifest(tmp_path, "list").merge([made])] == ["then again"]


def test_lines_of_other_lists_runs_stay(tmp_path):
    old, new = job(tmp_path, "old.mp4"), job(tmp_path, "new.mp4")
    manifest = Manifest(tmp_path, "list")
    manifest.done(old, "x", REPORT)
    manifest.merge([old])
    manifest.done(new, "x", REPORT)
    assert [line.output for line in manifest.merge([new])] == ["new.mp4"]
    assert set(manifest.read()) == {"old.mp4", "new.mp4"}


@pytest.mark.parametrize("inside", [True, False])
def test_a_result_is_known_wherever_the_program_is_started(tmp_path, inside, monkeypatch):
    """Its name is relative to the report, if it lies below it."""
    made = job(tmp_path if inside else tmp_path.parent, "a.mp4")
    Manifest(tmp_path, "l").failed(made, "no")
    (line,) = Manifest(tmp_path, "l").merge([made])
    assert line.output == ("a.mp4" if inside else str(made.output))
