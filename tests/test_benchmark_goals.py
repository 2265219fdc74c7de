"""scripts/benchmark_goals.py: ratios within rounds, whole processes, another revision that goes again."""

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.errors import BadInput, BadValue
from scripts.benchmark_goals import ROOT, Run, alone, checked_out, run, table, words
from systems.diff2lip import Diff2Lip
from tests.helpers.failing import fails
from tests.helpers.tiny import OURS


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    now = [Run(t, 8.0, 2 << 20) for t in (5.0, 10.0, 20.0)]
    before = [Run(t, 9.0, 1 << 20) for t in (10.0, 20.0, 20.0)]
    said = table({"end to end": {"now": now, "abc": before}}, 100)
    assert "| 10.0 (10.00 frames/s) | 20.0 (5.00 frames/s) | 2.00 | 8.0, 9.0 | 2, 1 |" in said
    alone = table({"imports": {"now": now}}, 100)
    assert "| imports | under 3 s | 10.0 | - | 8.0 | 2 |" in alone


def test_a_program_that_fails_is_said_with_its_last_words(tmp_path: Path) -> None:
    done = run(tmp_path, ["-c", "pass"])
    assert done.seconds > 0 and done.memory > 0
    with fails(BadInput, "no such luck"):
        run(tmp_path, ["-c", "import sys; sys.exit('no such luck')"])


def test_the_words_are_short(tmp_path: Path) -> None:
    words(tmp_path / "words.wav", 0.32)
    assert (tmp_path / "words.wav").stat().st_size == 44 + 2 * 5120


def test_a_network_alone_is_measured_in_each_way() -> None:
    def record(run: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, Callable[[], object]]:
        output = run()
        return output, lambda: output.copy_(run())

    system = Diff2Lip(OURS).eval()
    found = alone(system, torch.device("cpu"), torch.float32, ["called", "replayed"], record, batch=1, steps=1)
    assert all(one.frames > 0 and one.first > 0 and one.apart == 0 for one in found.values()) and len(found) == 2


@pytest.mark.slow
def test_another_revision_comes_and_goes(tmp_path: Path) -> None:
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("this copy has no history")
    with ExitStack() as stack:
        tree = checked_out("HEAD", tmp_path, stack)
        assert (tree / "generate.py").exists()
    assert not tree.exists()
    with fails(BadValue, "--against nowhere"), ExitStack() as stack:
        checked_out("nowhere", tmp_path, stack)
