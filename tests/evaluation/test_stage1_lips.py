"""How well stage 1 moves lips by sound: known movements have known figures."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import NoData
from evaluation.commands.lips import SHUT, LipsCase, measure, table
from systems.style import MotionSpace, StyleReference
from tests.helpers.failing import fails
from tests.helpers.tiny_motion import NUMBERS, mouth, space

FRAMES = 60


@dataclass
class Repeater:
    """Stands in for stage 1: what it hears is the motion, which it makes so many times as large, around the mean."""

    gain: float
    space: MotionSpace = field(default_factory=space)
    predictor: Any = field(init=False)

    def __post_init__(self) -> None:
        self.predictor = self

    def predict(self, heard: Tensor, reference: StyleReference | None) -> Tensor:
        mean = heard.mean(dim=0)
        return mean + self.gain * (heard - mean)


def case(speaker: str, seed: int) -> LipsCase:
    """Lips that are closed in a third of the frames, in silence."""
    drawn = np.random.default_rng(seed).uniform(0.1, 0.3, FRAMES)
    shut = np.random.default_rng(seed + 100).permutation(FRAMES) < FRAMES // 3
    known = space()
    motion = known.motion(torch.from_numpy(mouth(np.where(shut, 0.0, drawn), seed=seed)))
    opening = known.opening(motion).numpy()
    reference = StyleReference(torch.zeros(10, NUMBERS), torch.zeros(10, NUMBERS))
    return LipsCase("test", speaker, motion, opening, opening < SHUT, reference)


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_a_movement_that_is_known_has_the_figures_that_it_must_have(gain: float) -> None:
    cases = [case("ann", 0), case("ann", 1), case("bob", 2)]
    found = measure(Repeater(gain), cases)["test"]  # type: ignore[arg-type]
    assert set(found) == {"ann", "bob"}
    for figures in found.values():
        assert figures["r"] == pytest.approx(1, abs=1e-4) and abs(figures["wrong"]) < 0.5
        assert figures["range"] == pytest.approx(gain, rel=1e-3) == figures["flicker"]
        if gain == 1:
            assert figures["closed"] == pytest.approx(figures["closed, real"], abs=1e-4)
            assert figures["silent"] == pytest.approx(figures["closed, real"], abs=0.05)
        else:
            assert figures["closed"] < figures["closed, real"]
    head, row = table({"test": found}).splitlines()[::2]
    assert "| flicker | closed |" in head and row.startswith("| test | 2 | 1.000 [1.000, 1.000] |")


def test_a_wrong_sound_needs_another_speaker() -> None:
    with fails(NoData, "test", "ann"):
        measure(Repeater(1.0), [case("ann", 0), case("ann", 1)])  # type: ignore[arg-type]
