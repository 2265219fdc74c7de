"""Filters along time that look as far ahead as back, so that what moves does not lag."""

import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.float64]


def running_median(values: Series, width: int = 5) -> Series:
    """values [n, c] -> the median of each value and its neighbours: single outliers vanish, edges in time stay.

    Near an end the window shrinks on both sides alike, so that a line stays a line.
    """
    result = values.copy()
    n = len(values)
    for reach in range(1, width // 2 + 1):
        if n > 2 * reach:
            shifted = [values[offset : n - 2 * reach + offset] for offset in range(2 * reach + 1)]
            result[reach : n - reach] = np.median(shifted, axis=0)
    return result


def local_line(values: Series, deviation: float) -> Series:
    """values [n, c] -> at each place the line that fits best around it, with Gaussian weights, read off there.

    Away from the ends this is the Gaussian filter; near them the line keeps it from leaning (local linear regression,
    Cleveland 1979).
    """
    if deviation <= 0 or len(values) < 3:
        return values.copy()
    reach = int(np.ceil(3 * deviation))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / deviation) ** 2)
    ones = np.ones(len(values))
    # Moments of the weights and of the values around each place; what lies past an end weighs nothing.
    s0, s1, s2 = (_around(ones, kernel * offsets**power) for power in range(3))
    result = np.empty_like(values)
    for column in range(values.shape[1]):
        t0, t1 = (_around(values[:, column], kernel * offsets**power) for power in range(2))
        result[:, column] = (s2 * t0 - s1 * t1) / (s0 * s2 - s1 * s1)
    return result


def _around(values: Series, weights: Series) -> Series:
    """sum over k of weights[k] * values[t + k], k from -reach to reach, zero past the ends."""
    reach = len(weights) // 2
    return np.convolve(np.pad(values, reach), weights[::-1], mode="valid")
