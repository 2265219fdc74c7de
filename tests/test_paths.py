"""Every flag that takes a path says whether the program reads or writes it, so that the guard knows it."""

import ast
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest
from test_architecture import ROOT, SOURCES, tree

from core.errors import BadInput
from lipsync.cli.flags import parser
from lipsync.cli.path_checks import OF_ITEMS
from lipsync.jobs.job import Job

ROLES = {"reads", "writes", "writes_into"}


@cache
def flags(path: Path) -> list[ast.Call]:
    if "add_argument" not in (ROOT / path).read_text(encoding="utf-8"):
        return []  # most have none, and need not be parsed while tests are collected
    calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"]


def kind(call: ast.Call) -> str:
    return next((ast.unparse(word.value) for word in call.keywords if word.arg == "type"), "")


@pytest.mark.parametrize("path", [path for path in SOURCES if flags(path)], ids=str)
def test_a_flag_that_takes_a_path_says_its_role(path: Path) -> None:
    kinds = [kind(call) for call in flags(path)]
    assert "Path" not in kinds and "pathlib.Path" not in kinds
    assert not any("Path" in name for name in kinds), "write type=reads, writes or writes_into (video.guard)"


GUARDED_BY = {
    Path("lipsync/cli/flags.py"): Path("lipsync/cli/path_checks.py"),
    Path("evaluation/flags.py"): Path("evaluation/cli.py"),
    Path("core/flags.py"): Path("train.py"),  # --write_config is a flag of those programs that ask for it
}
"""Where flags that are listed in a file of their own are guarded."""
WRITERS = [path for path in SOURCES if any(kind(call) == "writes" for call in flags(path))]


@pytest.mark.parametrize("path", WRITERS, ids=str)
def test_a_program_that_writes_a_file_asks_the_guard(path: Path) -> None:
    names = {node.id for node in ast.walk(tree(GUARDED_BY.get(path, path))) if isinstance(node, ast.Name)}
    assert {"guard", "check"} & names


def test_every_path_of_a_job_is_guarded(tmp_path: Path) -> None:
    """A new one that `Job` forgets in `reads` and `writes` fails here."""
    names = [field.name for field in fields(Job) if "Path" in str(field.type)]
    paths = {name: tmp_path / f"{name}{'.npz' if 'motion' in name else '.mp4'}" for name in names}
    for name, path in paths.items():
        if name not in ("output", "motion_out"):
            path.write_text("start,sound\n")
    job = Job(**paths)
    job.check_inputs()
    for name in set(names) - {"output"}:
        with pytest.raises(BadInput):
            replace(job, output=paths[name]).check_inputs()


def test_flags_of_a_job_are_left_to_it_and_no_others() -> None:
    paths = {action.dest for action in parser()._actions if getattr(action.type, "__name__", "") in ROLES}
    of_jobs = {field.name for field in fields(Job) if "Path" in str(field.type)}
    assert set(OF_ITEMS) - of_jobs == {"test_video_dir", "named"} and of_jobs <= set(OF_ITEMS) <= paths
