"""scripts/gpu_check.sh runs everything that wants a GPU, keeps what it says, and ends in time."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FAKE = """#!/bin/bash
echo "$*"
case "$*" in *{fails}*) exit 3 ;; *{sleeps}*) sleep 60 ;; esac
"""


def check(
    here: Path, *, fails: str = "nothing", sleeps: str = "nothing", seconds: int = 60
) -> subprocess.CompletedProcess[str]:
    python = here / "python"
    python.write_text(FAKE.format(fails=fails, sleeps=sleeps), encoding="utf-8")
    python.chmod(0o755)
    environment = os.environ | {"PYTHON": str(python), "SECONDS_LEFT": str(seconds)}
    return subprocess.run(
        ["bash", str(ROOT / "scripts" / "gpu_check.sh"), str(here / "found")], env=environment, capture_output=True,
        text=True, timeout=50, check=False,
    )  # fmt: skip


def test_each_part_is_run_and_kept(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert done.returncode == 0
    kept = {path.stem: path.read_text(encoding="utf-8").split()[:2] for path in (tmp_path / "found").iterdir()}
    assert kept == {
        "tests": ["-m", "pytest"],
        "goals": ["scripts/benchmark_goals.py", "--rounds"],
        "training": ["scripts/benchmark_training.py", "--system"],
        "generation": ["scripts/benchmark.py"],
        "presets": ["scripts/benchmark_presets.py", "--output"],
    }
    assert all((ROOT / words[0]).exists() for name, words in kept.items() if name != "tests")


def test_what_fails_is_told_at_the_end_and_stops_nothing(tmp_path: Path) -> None:
    done = check(tmp_path, fails="benchmark_goals")
    assert done.returncode == 1 and (tmp_path / "found" / "generation.txt").exists()


@pytest.mark.slow
def test_what_takes_too_long_is_ended_and_the_rest_left_out(tmp_path: Path) -> None:
    done = check(tmp_path, sleeps="benchmark_goals", seconds=3)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "gpu_check.sh: no time is left for training", "gpu_check.sh: no time is left for presets",
        "gpu_check.sh: no time is left for generation",
    ]  # fmt: skip
