"""The picture of how far a mouth is open."""

import numpy as np
import pytest

from lipsync.motion import plot
from lipsync.motion.plot import openings


def test_less_than_closed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(plot, "_text", lambda picture, text, *place: said.append(text))
    closed, less = (openings((np.full(12, value, np.float32), 25.0), (None, 25.0)) for value in (0.0, -0.03))
    assert np.array_equal(closed, less)
    assert not any("-0.0" in text for text in said) and "mean 0.000" in said[0]
    assert {"0.12 s", "0.24 s", "0.36 s"} <= set(said)
