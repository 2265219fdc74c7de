"""What the documentation names is there."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MADE = {"report.md", "table.md"}  # by a program, elsewhere
PAGES = [path for place in ("*.md", "docs/*.md", "systems/*/*.md", "checkpoints/*.md") for path in ROOT.glob(place)]


@cache
def tree() -> set[str]:
    """Every file of the project, and nothing of a virtual environment or a run."""
    folders = [entry for entry in ROOT.iterdir() if entry.is_dir() and not entry.name.startswith((".", "runs", "venv"))]
    inside = {str(path.relative_to(ROOT)) for folder in folders for path in folder.rglob("*.*")}
    return inside | {path.name for path in ROOT.iterdir()}


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|sh|md))`", text)) - MADE
    names |= set(re.findall(r"python (scripts/\w+\.py)", text))
    missing = [name for name in sorted(names) if not any(f"/{path}".endswith(f"/{name}") for path in tree())]
    assert missing == []


def test_no_page_holds_what_a_merge_left() -> None:
    lines = [(page.name, line) for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    assert [(name, line) for name, line in lines if re.match(r"(<<<<<<<|>>>>>>>) |=======$", line)] == []
