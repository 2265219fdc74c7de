"""The cepstrum that SyncNet hears: python_speech_features' `mfcc` with its defaults, by its published definition.

25 ms windows (rectangular, zero-padded to 512 samples) every 10 ms, pre-emphasis 0.97, 26 triangles of equal width in
mel up to 8 kHz, logarithm, orthonormal cosine transform, 13 coefficients, lifted by 1 + 11 sin(pi n / 22), the first
one replaced by the logarithm of the window's energy.
"""

from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from audio.filterbank import BANK_RATE, BANKS, FRAME, STEP, floored_log, power_spectrum, triangles
from audio.mel import PRE_EMPHASIS

Doubles = NDArray[np.float64]

MFCC_RATE = BANK_RATE  # columns per second
COEFFICIENTS = 13
LIFTER = 22


def mfcc(samples: NDArray[np.int16]) -> Doubles:
    """samples i16 [n], mono at 16 kHz -> f64 [1 + ceil((n - 400) / 160), 13]; one row where n is less than 400.

    The scale matters: the published weights heard whole numbers.  ValueError if there is no sample.
    """
    if not samples.size:
        raise ValueError("a sound of no samples has no cepstrum")
    exact = samples.astype(np.float64)
    emphasised = np.append(exact[:1], exact[1:] - PRE_EMPHASIS * exact[:-1])
    power = power_spectrum(_filled(emphasised))                             # [t, 257]
    bands = floored_log(power @ triangles().T)                              # [t, 26]
    cepstrum = bands @ _cosines().T * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER))
    cepstrum[:, 0] = floored_log(power.sum(axis=1))
    return np.asarray(cepstrum, np.float64)


def _filled(signal: Doubles) -> Doubles:
    """With zeros at the end, so that the last window is whole."""
    count = 1 + max(ceil((len(signal) - FRAME) / STEP), 0)
    return np.pad(signal, (0, (count - 1) * STEP + FRAME - len(signal)))


@cache
def _cosines() -> Doubles:
    """The cosine transform of the second kind, orthonormal, its first rows: f64 [13, 26]."""
    rows, columns = np.arange(COEFFICIENTS)[:, None], np.arange(BANKS)[None, :]
    transform = np.cos(np.pi * rows * (2 * columns + 1) / (2 * BANKS)) * np.sqrt(2 / BANKS)
    transform[0] /= np.sqrt(2)
    return np.asarray(transform, np.float64)
