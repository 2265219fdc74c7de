"""The figures of stage 2 are figures of what it says they are."""

import re
import subprocess
from pathlib import Path

import pytest

from dataset import save_clip
from systems.registry import SMALL_DIFF2LIP
from tests.helpers import forked
from tests.helpers.failing import check_error
from tests.helpers.tiny_style import save
from tests.helpers.toy import talking

ROOT = Path(__file__).parents[2]


def measured(*flags: object) -> subprocess.CompletedProcess[str]:
    return forked.run(["-m", "evaluation", "render", "--device", "cpu", *map(str, flags)], cwd=ROOT)


@pytest.mark.slow
def test_a_model_that_is_told_no_motion_is_refused(tmp_path: Path) -> None:
    done = measured("--data", tmp_path, "--model_path", SMALL_DIFF2LIP)
    assert done.returncode == 2
    check_error(done.stderr, "python -m evaluation reconstruct")


@pytest.mark.slow
def test_every_way_and_every_cost_is_measured(tmp_path: Path) -> None:
    for number, (split, speaker) in enumerate([("seen", "ann"), ("seen", "bob"), ("test", "eve"), ("test", "fay")]):
        save_clip(tmp_path / "data" / split / speaker / f"{number}.npz", talking(number, frames=12))
    (tmp_path / "model").mkdir()
    done = measured("--data", tmp_path / "data", "--model_path", save(tmp_path / "model"), "--frames", 2)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\| own motion \| -?\d", done.stdout, re.MULTILINE)) == 2
    rows = dict(re.findall(r"^\| ((?:stage|diff)[^|]*?) \| ([\d.]+) \|", done.stdout, re.MULTILINE))
    assert len(rows) == 5 and float(rows["stage 2: rendered"]) > 0
