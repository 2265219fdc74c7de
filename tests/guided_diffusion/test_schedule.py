"""Schedules fall from clean to noise, and a sampler visits the steps it was asked to visit."""

import numpy as np
import pytest

from core.errors import BadValue
from guided_diffusion.schedule import Schedule, named_schedule, spaced_steps
from tests.helpers.failing import fails


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [100, 1000])
def test_a_schedule_goes_from_clean_to_noise(name: str, steps: int) -> None:
    schedule = named_schedule(name, steps)  # type: ignore[arg-type]
    assert len(schedule) == steps
    assert schedule.alpha_bar[0] > 0.99 and schedule.alpha_bar[-1] < 1e-3
    assert np.array_equal(schedule.timesteps, np.arange(steps))
    assert np.allclose(np.cumprod(1 - schedule.betas), schedule.alpha_bar, rtol=1e-12)


def test_the_linear_schedule_has_the_papers_betas() -> None:
    betas = named_schedule("linear", 1000).betas
    assert betas[[0, -1]] == pytest.approx([1e-4, 0.02])
    assert np.ptp(np.diff(betas)) < 1e-12


@pytest.mark.parametrize(
    ("spacing", "steps"),
    [
        ("ddim5", [0, 2, 4, 6, 8]),
        ("ddim4", [0, 3, 6, 9]),
        ("ddim10", list(range(10))),
        ("1", [9]),
        ("2", [0, 9]),
        ("4", [0, 3, 6, 9]),
        ("10", list(range(10))),
        ("2,3", [0, 4, 5, 7, 9]),
        ("1,1", [4, 9]),
    ],
)
def test_the_steps_of_a_spacing(spacing: str, steps: list[int]) -> None:
    assert spaced_steps(10, spacing) == steps


def test_ddim25_of_1000_is_every_40th_from_0() -> None:
    assert spaced_steps(1000, "ddim25") == list(range(0, 1000, 40))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 20, 50, 999, 1000])
def test_a_number_gives_so_many_steps_and_reaches_pure_noise(count: int) -> None:
    steps = spaced_steps(1000, str(count))
    assert len(set(steps)) == count and steps == sorted(steps) and steps[-1] == 999


@pytest.mark.parametrize("spacing", ["0", "11", "ddim0", "ddim7", "ddim11", "ddim", "fast", "", "5,6", "-3", "2.5"])
def test_an_impossible_spacing_is_refused(spacing: str) -> None:
    with fails(BadValue, repr(spacing), "10 steps"):
        spaced_steps(10, spacing)


def test_a_respaced_schedule_is_as_noisy_at_the_steps_it_keeps() -> None:
    whole = named_schedule("cosine", 1000)
    few = whole.respaced("8")
    assert np.array_equal(few.alpha_bar, whole.alpha_bar[few.timesteps])
    assert np.array_equal(few.respaced("2").timesteps, [0, 999])


@pytest.mark.parametrize("alpha_bar", [[], [0.5, 0.5], [0.5, 0.9], [1.5, 0.5], [0.5, 0.0]])
def test_a_schedule_that_does_not_fall_is_refused(alpha_bar: list[float]) -> None:
    with fails(ValueError, "alpha_bar"):
        Schedule(np.array(alpha_bar), np.arange(len(alpha_bar)))
