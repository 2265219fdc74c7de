"""The logarithmic filter banks that AV-HuBERT hears: 26 a column, 100 columns per second, four to a row of 25 Hz.

The arithmetic is that of python_speech_features' `logfbank` with its defaults, from its published definition: 25 ms
rectangular windows every 10 ms of sound on the scale of 16-bit integers, pre-emphasis 0.97, a transform of 512 points,
26 triangles of equal width in mel up to 8 kHz, the logarithm.  AV-HuBERT (Shi et al. 2022) stacks four columns and
normalises each stack over its 104 values.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil, floor, log
from pathlib import Path

import numpy as np

from audio.mel import pre_emphasised
from audio.waveform import SAMPLE_RATE, Waveform, sound_blocks

FRAME = 400  # samples in a column's window, 25 ms
STEP = 160  # samples from one column to the next
BANK_RATE, _remainder = divmod(SAMPLE_RATE, STEP)  # 100 columns per second
assert not _remainder
FFT = 512
BANKS = 26
STACK = 4  # columns to a row
ROW = BANKS * STACK  # values of a row
FULL_SCALE = 32768  # of the integers that AV-HuBERT was trained on; waveforms here lie in [-1, 1]
LEAST = float(np.finfo(np.float64).eps)  # stands for 0 before the logarithm
SILENCE = log(LEAST)
EPSILON = 1e-5  # of the normalisation, torch's default
BLOCK = 1000  # columns transformed at a time: 10 s, 5 MB of spectrum


@dataclass(frozen=True)
class FilterBanks:
    """columns f32 [t, 26] at 100 per second; column c is of samples 160 c .. 160 c + 399.  ValueError otherwise.

    first: the number of columns[0], of a stream that keeps only its end; those before it are not asked for.
    """

    columns: np.ndarray
    first: int = 0

    def __post_init__(self) -> None:
        if self.columns.ndim != 2 or self.columns.shape[1] != BANKS or self.columns.dtype != np.float32:
            raise ValueError(f"columns must be float32 [t, 26], not {self.columns.dtype} {list(self.columns.shape)}")

    def windows(self, start: int, stop: int, fps: Fraction, rows: int) -> np.ndarray:
        """What AV-HuBERT hears around frames start..stop-1 -> f32 [stop - start, rows, 104], each row normalised.

        A window's row rows // 2 opens at its frame, to 10 ms; the others follow at 25 Hz, whatever the frame rate.  At
        25 fps the rows are the original's.  Where there is no sound, before and after, columns are 0, as there.
        """
        if not 0 <= start <= stop or rows < 1:
            raise ValueError(f"{rows} rows around frames {start}..{stop} are not a range")
        opens = np.array([floor(BANK_RATE * frame / fps) for frame in range(start, stop)], np.int64)
        columns = opens[:, None] + np.arange(STACK * rows) - STACK * (rows // 2) - self.first    # [n, 4 rows]
        inside = (columns >= 0) & (columns < len(self.columns))
        picked = np.zeros((*columns.shape, BANKS), np.float32)
        picked[inside] = self.columns[columns[inside]]
        return _normalised(picked.reshape(len(opens), rows, ROW))

    def excerpt(self, begin: Fraction, seconds: Fraction) -> "FilterBanks":
        """From a moment on, for so long; silent where there is no sound."""
        numbers = floor(BANK_RATE * begin) + np.arange(ceil(BANK_RATE * seconds))
        inside = (numbers >= 0) & (numbers < len(self.columns))
        picked = np.full((len(numbers), BANKS), SILENCE, np.float32)
        picked[inside] = self.columns[numbers[inside]]
        return FilterBanks(picked)

    def faded(self, gain: np.ndarray, rate: int) -> "FilterBanks":
        """Faded to digital silence, in decibels, where gain f32 [n], `rate` values a second, is below 1."""
        nearest = np.round(np.arange(len(self.columns)) * rate / BANK_RATE).astype(int)
        share = np.zeros(len(self.columns), np.float32)
        share[nearest < len(gain)] = gain[nearest[nearest < len(gain)]]
        faded = SILENCE + (self.columns - SILENCE) * share[:, None]
        return FilterBanks(np.where(share[:, None] < 1, faded, self.columns).astype(np.float32))


def log_filterbanks(waveform: Waveform) -> FilterBanks:
    """The filter banks of a waveform at 16 kHz (ValueError at another rate)."""
    if waveform.rate != SAMPLE_RATE:
        raise ValueError(f"the filter banks are defined at {SAMPLE_RATE} samples per second, not {waveform.rate}")
    return filterbanks_of([waveform.samples])


def read_filterbanks(path: Path) -> FilterBanks:
    """`log_filterbanks(read_sound(path))`, streamed: memory is 10.4 kB per second.  BadInput as read_sound."""
    return filterbanks_of(sound_blocks(path))


def filterbanks_of(blocks: Iterable[np.ndarray]) -> FilterBanks:
    """The filter banks of a sound at 16 kHz, f32 [n] blocks in order."""
    scaled = (block * FULL_SCALE for block in blocks)
    return FilterBanks(np.concatenate([bank_columns(part) for part in _parts(pre_emphasised(scaled))]))


def _parts(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The sound cut so that each part yields up to BLOCK columns, the last filled with zeros to whole windows."""
    whole = FRAME + (BLOCK - 1) * STEP
    waiting, least = np.zeros(0), 1
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= whole:
            yield waiting[:whole]
            waiting, least = waiting[BLOCK * STEP :], 0
    count = max(1 + ceil((len(waiting) - FRAME) / STEP), least)
    if count:
        yield np.pad(waiting, (0, max(FRAME + (count - 1) * STEP - len(waiting), 0)))


def bank_columns(signal: np.ndarray) -> np.ndarray:
    """signal f64 [n], pre-emphasised -> f32 [1 + (n - 400) // 160, 26]"""
    logarithm: np.ndarray = floored_log(power_spectrum(signal) @ triangles().T).astype(np.float32)
    return logarithm


def power_spectrum(signal: np.ndarray) -> np.ndarray:
    """Of each whole window: signal f64 [n], pre-emphasised -> f64 [1 + (n - 400) // 160, 257]."""
    frames = np.lib.stride_tricks.sliding_window_view(signal, FRAME)[::STEP]        # [t, 400]
    power: np.ndarray = np.abs(np.fft.rfft(frames, FFT)) ** 2 / FFT
    return power


def floored_log(energy: np.ndarray) -> np.ndarray:
    """The natural logarithm, in which 0 counts as the least number that is not lost beside 1."""
    logarithm: np.ndarray = np.log(np.where(energy == 0, LEAST, energy))
    return logarithm


def _normalised(rows: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 over the last axis: a layer normalisation without weights."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    normalised: np.ndarray = (centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)).astype(np.float32)
    return normalised


@cache
def triangles() -> np.ndarray:
    """The triangles, f64 [26, 257]; their corners lie on whole bins of the transform."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, BANKS + 2) / 2595) - 1)
    corners = np.floor((FFT + 1) * hertz / SAMPLE_RATE).astype(int)
    bank = np.zeros((BANKS, FFT // 2 + 1))
    for band, (low, middle, high) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        bank[band, low:middle] = (np.arange(low, middle) - low) / max(middle - low, 1)
        bank[band, middle:high] = (high - np.arange(middle, high)) / max(high - middle, 1)
    return bank
