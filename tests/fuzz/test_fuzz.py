"""A seeded part of what scripts/fuzz.py tries: no traceback, no hang, no wrong code, nothing changed or left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent / "harness.py"


@pytest.mark.slow
def test_hostile_inputs_end_in_a_sentence() -> None:
    done = subprocess.run([sys.executable, HARNESS, "--count", "14"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
