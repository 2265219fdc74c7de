"""SyncNet hears what python_speech_features gives it."""

import numpy as np
import pytest

from evaluation.metrics.mfcc import mfcc
from tests.helpers.failing import fails

# python_speech_features 0.6, mfcc(sweep(16000), 16000), rows 0, 50 and 98; it agrees with ours to 1e-12 on all rows
PUBLISHED = np.array([
    [17.057565, 22.929353, 15.60837, 12.438531, 9.441558, 5.193682, 1.133596, -4.146777, -8.56319, -12.575684,
     -14.391198, -15.672313, -15.577045],
    [19.966489, 6.154575, -26.693894, -33.798021, -8.197337, 22.754711, 26.854453, 0.633481, -23.980925, -21.704162,
     2.173904, 18.26434, 11.894092],
    [20.990551, -1.61844, -34.718926, 6.649987, 29.418114, -12.765235, -26.204449, 15.500625, 19.899068, -19.193695,
     -15.710517, 15.953666, 6.990113],
])  # fmt: skip


def sweep(count: int) -> np.ndarray:
    t = np.arange(count) / 16000
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * t)
    return np.rint(12000 * np.sin(2 * np.pi * (120 * t + 900 * t**2)) * swell).astype(np.int16)


def test_it_is_the_published_packages() -> None:
    found = mfcc(sweep(16000))
    assert found.shape == (99, 13)
    assert np.abs(found[[0, 50, 98]] - PUBLISHED).max() < 1e-6


@pytest.mark.parametrize(("samples", "rows"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3)])
def test_a_last_window_that_is_not_full_counts(samples: int, rows: int) -> None:
    assert mfcc(sweep(samples)).shape == (rows, 13)


def test_digital_silence_is_finite_and_a_sound_is_asked_for() -> None:
    assert np.isfinite(mfcc(np.zeros(1000, np.int16))).all()
    with fails(ValueError, "samples"):
        mfcc(np.zeros(0, np.int16))
