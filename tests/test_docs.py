"""What the documentation names is there."""

import re
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest

import train
from evaluation.flags import COMMANDS, PASSING_ON, RESULTS, parser
from systems.registry import find_preset

ROOT = Path(__file__).resolve().parents[1]
MADE = {"report.md", "table.md"}  # by a program, elsewhere
PAGES = [path for place in ("*.md", "docs/*.md", "systems/*/*.md", "checkpoints/*.md") for path in ROOT.glob(place)]

COMPLETE = [path for place in ("README.md", "docs/*.md", "systems/*/*.md") for path in sorted(ROOT.glob(place))]


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


def filled(block: str) -> str:
    """With continued lines joined, and the shell's variables that it sets put in."""
    for name, value in re.findall(r"""^(\w+)="?([^"#\n]*)"?""", block, re.MULTILINE):
        block = block.replace(f"${name}", value)
    return block.replace("\\\n", " ")


def commands(page: Path, program: str) -> list[list[str]]:
    """The words behind a program's name in the complete commands of a page, of its blocks and of its sentences."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in filled(block).splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    found = [line.partition(f"python {program} ")[2] for line in lines if f"python {program} " in line]
    words = [shlex.split(line, comments=True) for line in found if "..." not in line]
    return [some for some in words if any(word.startswith("-") for word in some)]


@pytest.mark.parametrize("page", COMPLETE, ids=lambda page: str(page.relative_to(ROOT)))
def test_programs_understand_the_commands_of_a_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags, presets and settings are known, and nothing is left out that has to be there."""
    for words in commands(page, "-m evaluation"):
        name, flags = (words[0], words[1:]) if words[0] in COMMANDS else (RESULTS, words)
        if "--help" not in flags:
            known = parser(name)
            known.parse_known_args(flags) if name in PASSING_ON else known.parse_args(flags)
    for words in commands(page, "train.py"):
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        options = train.arguments()
        find_preset(options.system).changed(options.set)


def test_no_page_holds_what_a_merge_left() -> None:
    lines = [(page.name, line) for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    assert [(name, line) for name, line in lines if re.match(r"(<<<<<<<|>>>>>>>) |=======$", line)] == []
