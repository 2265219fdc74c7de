"""How late a sound comes is told by lips that were predicted from it, also of a single word, and without certainty."""

import numpy as np
import pytest
import torch
from torch import Tensor

from systems.style.sound_offset import LEAST, Fits, compare, sound_offsets
from tests.helpers.failing import fails
from tests.helpers.tiny_motion import NUMBERS, space

RATE = 25


def words(frames: int, late: float, noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Predicted and seen motion, [t, d]: the sound is so many frames late, and what it predicts is `noise` off."""
    rng = np.random.default_rng(seed)
    bends = rng.normal(size=(frames // 2 + 12, NUMBERS))
    at = np.arange(frames)[:, None] / 2 + 4

    def moves(places: np.ndarray) -> np.ndarray:
        low = np.floor(places).astype(int)[:, 0]
        share = (1 - np.cos(np.pi * (places - low[:, None]))) / 2
        return np.asarray(bends[low] * (1 - share) + bends[low + 1] * share)

    said = moves(at - late / 2) + noise * rng.normal(size=(frames, NUMBERS))
    return torch.from_numpy(said).float(), torch.from_numpy(moves(at)).float()


def fits(late: float, noise: float, seed: int = 0) -> Fits:
    return compare(space(), *words(29, late, noise, seed))


@pytest.mark.parametrize("late", [-2.5, -1.0, 0.0, 0.6, 2.0])
def test_a_word_says_when_it_is_heard(late: float) -> None:
    found = [sound_offsets([fits(late, 0.5, seed)])[0] for seed in range(8)]
    assert np.mean([offset.seconds for offset in found]) * RATE == pytest.approx(late, abs=0.2)
    assert all(offset.correlation > 0.5 and offset.deviation * RATE < 1 for offset in found)


def test_who_says_little_is_taken_for_as_late_as_the_others() -> None:
    lates = np.random.default_rng(2).normal(1.0, 0.8, 40)
    found = sound_offsets([*(fits(late, 0.4, seed) for seed, late in enumerate(lates)), fits(-3.0, 30.0)])
    assert np.corrcoef([offset.seconds for offset in found[:-1]], lates)[0, 1] > 0.9
    assert found[-1].seconds * RATE == pytest.approx(lates.mean(), abs=0.6)
    assert found[-1].deviation * RATE == pytest.approx(lates.std(), abs=0.3)
    silent = torch.zeros(29, NUMBERS)
    assert sound_offsets([compare(space(), silent, silent)])[0].seconds == pytest.approx(0, abs=1e-6)
    assert sound_offsets([]) == []


def test_too_few_frames_are_refused() -> None:
    with fails(ValueError, LEAST - 1):
        compare(space(), *words(LEAST - 1, 0, 0.1))
