"""How sure a mean is: over clips, or over speakers."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import bootstrap

DRAWS = 10_000
LEVEL = 0.95
HELD = 131_072  # numbers drawn at a time: 1 MB


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of the mean (Efron 1979, percentiles); None of fewer than two values.

    The same values give the same interval.
    """
    if len(values) < 2:
        return None
    low, high = bootstrap(
        (np.asarray(values, np.float64),), np.mean, n_resamples=DRAWS, batch=max(1, HELD // len(values)),
        confidence_level=LEVEL, method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(low), float(high)


def speaker_means(values: Iterable[tuple[str, float]]) -> list[float]:
    """Of (speaker, value), the mean of each speaker's values, in the order in which they come."""
    by_speaker: dict[str, list[float]] = defaultdict(list)
    for speaker, value in values:
        by_speaker[speaker].append(value)
    return [float(np.mean(of_one)) for of_one in by_speaker.values()]
