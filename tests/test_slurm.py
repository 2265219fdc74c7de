"""The scripts for Slurm parse, and what they start is understood by the programs that they start."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "scripts").glob("*.slurm"))


def commands(script: Path) -> list[list[str]]:
    """What srun starts, with the script's own variables put in."""
    text = script.read_text(encoding="utf-8").replace("\\\n", " ")
    known = dict(re.findall(r"^(\w+)=([^\s$(]+)", text, re.MULTILINE)) | {"python": "python"}
    lines = [line for line in text.splitlines() if line.startswith("srun ")]
    filled = [re.sub(r"\$\{?(\w+)\}?", lambda match: known[match[1]], line) for line in lines]
    return [shlex.split(line)[1:] for line in filled]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_parses_and_asks_slurm_for_what_it_uses(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n") and "\nset -euo pipefail\n" in text
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", text, re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"] and "time" in asked
    workers = [int(found) for found in re.findall(r"--workers (\d+)", text)]
    assert all(count < int(asked["cpus-per-task"]) for count in workers)
    assert "MASTER_ADDR" in text and "MASTER_PORT" in text


@pytest.mark.parametrize("script", [script for script in SCRIPTS if "train.py" in script.read_text()],
                         ids=lambda script: script.name)  # fmt: skip
def test_train_py_understands_what_it_is_told(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = runpy.run_path(str(ROOT / "train.py"), run_name="parsed")["arguments"]
    started = [words for words in commands(script) if "train.py" in words]
    assert started
    for words in started:
        monkeypatch.setattr(sys, "argv", words[words.index("train.py") :])
        options = arguments()
        assert options.data and options.output and options.workers


def test_the_expert_that_a_network_is_judged_by_is_the_one_trained_before() -> None:
    (first, second) = commands(ROOT / "scripts" / "train.slurm")
    made = first[first.index("--output") + 1]
    assert second[second.index("--expert") + 1] == f"{made}/weights.safetensors"
