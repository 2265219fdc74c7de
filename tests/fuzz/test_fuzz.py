"""A seeded part of what scripts/fuzz.py tries: no traceback, no hang, no wrong code, nothing changed or left behind."""

from pathlib import Path

import pytest

from tests.helpers import forked

HARNESS = Path(__file__).parent / "harness.py"


@pytest.mark.slow
def test_hostile_inputs_end_in_a_sentence() -> None:
    done = forked.run([HARNESS, "--count", "14"])
    assert done.returncode == 0, done.stdout
