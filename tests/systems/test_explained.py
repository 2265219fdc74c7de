"""What --list_settings says is what --set takes, with a word about it."""

from pathlib import Path

import pytest

from systems.explained import settings
from systems.registry import find_preset, presets
from tests.helpers import forked

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", presets())
def test_what_is_listed_can_be_set(name: str) -> None:
    whole = find_preset(name)
    found = settings(whole)
    assert whole.changed(f"{setting}={value}" for setting, value, _ in found if value) == whole
    told = [setting for setting in found if setting.text]
    assert len(told) > len(found) / 3 and all(setting.text[0] != " " for setting in told)


def test_a_short_run_rises_and_falls_in_the_same_shares() -> None:
    whole = find_preset("sync")
    short = whole.changed(["train.steps=150"])
    assert (short.train.warmup, short.train.cooldown) == (whole.train.warmup // 10, whole.train.cooldown // 10)
    assert whole.changed(["train.steps=1500"]) == whole
    assert whole.changed(["train.steps=150", "train.warmup=3"]).train.warmup == 3


@pytest.mark.slow
def test_train_says_what_is_missing_and_lists_settings(tmp_path: Path) -> None:
    def run(*args: str) -> tuple[int, str, str]:
        done = forked.run([ROOT / "train.py", *args], cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    code, listed, _ = run("--list_settings", "motion")
    assert code == 0 and any(line.startswith("train.steps ") and "600" in line for line in listed.splitlines())
    code, _, said = run("--system", "sync", "--output", "run")
    assert code == 2 and "--data is missing" in said and len(said.splitlines()) == 1 and not (tmp_path / "run").exists()
    code, _, said = run("--data", "nowhere", "--output", "run", "--steps", "5", "--lr", "fast")
    assert code == 2 and "--lr" in said
