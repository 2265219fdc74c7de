"""The cepstrum that SyncNet hears: python_speech_features' `mfcc` with its defaults, by its published definition.

25 ms windows (rectangular, zero-padded to 512 samples) every 10 ms, pre-emphasis 0.97, 26 triangles of equal width in
mel up to 8 kHz, logarithm, orthonormal cosine transform, 13 coefficients, lifted by 1 + 11 sin(pi n / 22), the first
one replaced by the logarithm of the window's energy.
"""

from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from audio import SAMPLE_RATE

Doubles = NDArray[np.float64]

FRAME = 400  # samples of a window, 25 ms
STEP = 160  # samples from one to the next, 10 ms
MFCC_RATE = SAMPLE_RATE // STEP  # columns per second
FFT = 512
FILTERS = 26
COEFFICIENTS = 13
LIFTER = 22
PRE_EMPHASIS = 0.97
LEAST = float(np.finfo(np.float64).eps)  # stands for 0 before a logarithm


def mfcc(samples: NDArray[np.int16]) -> Doubles:
    """samples i16 [n], mono at 16 kHz -> f64 [1 + ceil((n - 400) / 160), 13]; one row where n is less than 400.

    The scale matters: the published weights heard whole numbers.  ValueError if there is no sample.
    """
    if not samples.size:
        raise ValueError("a sound of no samples has no cepstrum")
    exact = samples.astype(np.float64)
    emphasised = np.append(exact[:1], exact[1:] - PRE_EMPHASIS * exact[:-1])
    power = np.abs(np.fft.rfft(_framed(emphasised), FFT)) ** 2 / FFT        # [t, 257]
    bands = np.log(_floored(power @ _bank().T))                             # [t, 26]
    cepstrum = bands @ _cosines().T * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER))
    cepstrum[:, 0] = np.log(_floored(power.sum(axis=1)))
    return np.asarray(cepstrum, np.float64)


def _framed(signal: Doubles) -> Doubles:
    """[n] -> [t, 400], the last window filled with zeros."""
    count = 1 + max(ceil((len(signal) - FRAME) / STEP), 0)
    padded = np.pad(signal, (0, (count - 1) * STEP + FRAME - len(signal)))
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::STEP]


def _floored(values: Doubles) -> Doubles:
    return np.where(values == 0, LEAST, values)


@cache
def _bank() -> Doubles:
    """The triangles, f64 [26, 257]; their corners lie on whole bins of the transform."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, FILTERS + 2) / 2595) - 1)
    corners = np.floor((FFT + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(FFT // 2 + 1)
    low, middle, high = (corners[k : k + FILTERS, None] for k in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):  # a side of no width holds no bin
        rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    sides = [(low <= bins) & (bins < middle), (middle <= bins) & (bins < high)]
    return np.asarray(np.select(sides, [rising, falling], 0.0), np.float64)


@cache
def _cosines() -> Doubles:
    """The cosine transform of the second kind, orthonormal, its first rows: f64 [13, 26]."""
    rows, columns = np.arange(COEFFICIENTS)[:, None], np.arange(FILTERS)[None, :]
    transform = np.cos(np.pi * rows * (2 * columns + 1) / (2 * FILTERS)) * np.sqrt(2 / FILTERS)
    transform[0] /= np.sqrt(2)
    return np.asarray(transform, np.float64)
