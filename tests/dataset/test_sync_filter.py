"""Sound that is off is moved to its lips; what nobody can tell is left out."""

from fractions import Fraction

import numpy as np
import pytest

from audio import MELS, SILENCE, Mel
from dataset.sync_filter import Offset, SyncFilter
from tests.helpers.failing import fails


def ramp(columns: int) -> Mel:
    return Mel(np.repeat(np.arange(columns, dtype=np.float32)[:, None] / 100, MELS, 1), columns / 80)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (Offset(0, 5), 0), (Offset(1, 5), 0), (Offset(-1, 3), 0), (Offset(2, 5), 2), (Offset(-4, 5), -4),
        (Offset(0, 2.9), None), (Offset(7, 0), None), (Offset(0, float("nan")), None),
    ],
)  # fmt: skip
def test_the_rule(offset: Offset, expected: float | None) -> None:
    assert SyncFilter(min_confidence=3, max_offset=1).correction(offset) == expected


def test_an_impossible_rule_is_refused() -> None:
    with fails(ValueError, "offset", -1):
        SyncFilter(max_offset=-1)


def test_an_excerpt_is_what_is_heard_from_there_on_and_a_window_beyond() -> None:
    mel = ramp(400)
    part = mel.excerpt(Fraction(1), Fraction(2))
    assert np.array_equal(part.columns, mel.columns[80 : 240 + 16]) and part.seconds == 176 / 80
    fps = Fraction(25)
    assert np.array_equal(part.windows(5, 50, fps), mel.windows(30, 75, fps))
    assert np.array_equal(part.span(20, 5, fps), mel.span(45, 5, fps))


def test_before_and_after_the_sound_there_is_silence() -> None:
    early = ramp(400).excerpt(Fraction(-1, 2), Fraction(1))
    assert (early.columns[:40] == SILENCE).all() and early.columns[40:43, 0].tolist() == pytest.approx([0, 0.01, 0.02])
    late = ramp(400).excerpt(Fraction(4), Fraction(3))
    assert len(late.columns) == 80
    assert len(ramp(40).excerpt(Fraction(4), Fraction(1)).columns) == 0
    assert (ramp(40).excerpt(Fraction(4), Fraction(1)).windows(0, 3, Fraction(25)) == SILENCE).all()
