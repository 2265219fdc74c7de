"""How sure a mean over clips is."""

from collections.abc import Sequence

import numpy as np

DRAWS = 10_000
LEVEL = 95  # per cent


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of the mean (Efron 1979, percentiles); None of fewer than two values.

    The same values give the same interval.  Memory: 1 MB at a time, however many values.
    """
    if len(values) < 2:
        return None
    exact = np.asarray(values, np.float64)
    generator = np.random.default_rng(0)
    part = max(1, 131_072 // len(exact))
    means = np.concatenate([
        exact[generator.integers(0, len(exact), (min(part, DRAWS - first), len(exact)))].mean(axis=1)
        for first in range(0, DRAWS, part)
    ])  # fmt: skip
    low, high = np.percentile(means, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)
