"""The interval holds what it says it does."""

import numpy as np
import pytest

from evaluation.metrics.bootstrap import interval


def test_it_is_near_the_normal_one_for_many_values() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = interval(values.tolist())
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_equal_values_leave_no_doubt_and_one_value_says_nothing() -> None:
    assert interval([3.0, 3.0, 3.0]) == (3.0, 3.0)
    assert interval([3.0]) is None and interval([]) is None


@pytest.mark.slow
def test_it_is_the_same_every_time_and_for_any_number_of_values() -> None:
    values = np.random.default_rng(2).normal(size=5000).tolist()
    assert interval(values) == interval(values)
