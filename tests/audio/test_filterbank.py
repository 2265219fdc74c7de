"""The filter banks are AV-HuBERT's, streamed or not, and their windows lie where their frames are."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from test_mel import chirp

from audio import SAMPLE_RATE, FilterBanks, Waveform, log_filterbanks, read_filterbanks, read_sound
from audio.filterbank import SILENCE
from tests.helpers.failing import fails
from tests.helpers.talking_head import tone

FPS = Fraction(25)


def counting(columns: int) -> FilterBanks:
    """Column c holds c in its first band, else 0."""
    values = np.zeros((columns, 26), np.float32)
    values[:, 0] = np.arange(columns)
    return FilterBanks(values)


def by_definition(samples: np.ndarray) -> np.ndarray:
    """python_speech_features' logfbank, one window and one triangle at a time."""
    signal = samples * 32768.0
    signal = np.append(signal[0], signal[1:] - 0.97 * signal[:-1])
    count = 1 if len(signal) <= 400 else 1 + int(np.ceil((len(signal) - 400) / 160))
    signal = np.append(signal, np.zeros((count - 1) * 160 + 400 - len(signal)))
    top = 2595 * np.log10(1 + 8000 / 700)
    bins = np.floor(513 * 700 * (10 ** (np.linspace(0, top, 28) / 2595) - 1) / 16000)
    banks = np.zeros((count, 26))
    for t in range(count):
        power = np.abs(np.fft.rfft(signal[160 * t : 160 * t + 400], 512)) ** 2 / 512
        for j in range(26):
            for i in range(int(bins[j]), int(bins[j + 1])):
                banks[t, j] += power[i] * (i - bins[j]) / (bins[j + 1] - bins[j])
            for i in range(int(bins[j + 1]), int(bins[j + 2])):
                banks[t, j] += power[i] * (bins[j + 2] - i) / (bins[j + 2] - bins[j + 1])
    return np.log(np.where(banks == 0, np.finfo(float).eps, banks))


@pytest.mark.parametrize("length", [1, 399, 400, 401, 560, 561, 5000])
def test_they_are_the_definitions(length: int) -> None:
    samples = chirp().samples[2000 : 2000 + length]
    banks = log_filterbanks(Waveform(samples, SAMPLE_RATE))
    expected = by_definition(samples.astype(np.float64))
    assert banks.columns.shape == expected.shape
    assert np.abs(banks.columns - expected).max() < 1e-4


def test_a_file_of_many_blocks_gives_what_its_waveform_gives(tmp_path: Path) -> None:
    for seconds in (0.5, 10.0, 10.015, 23.3):  # a block is 1000 columns, 10.015 s
        path = tone(tmp_path / f"{seconds}.wav", seconds)
        assert np.array_equal(read_filterbanks(path).columns, log_filterbanks(read_sound(path)).columns)
        samples = read_sound(path).samples.size
        assert len(read_filterbanks(path).columns) == 1 + -(-(samples - 400) // 160)


def test_rows_at_25_fps_are_the_originals_stacks() -> None:
    banks = log_filterbanks(chirp())
    t = len(banks.columns) // 4
    stacks = banks.columns[: 4 * t].reshape(t, 104)
    expected = (stacks - stacks.mean(1, keepdims=True)) / np.sqrt(stacks.var(1, keepdims=True) + 1e-5)
    windows = banks.windows(0, t, FPS, 1)
    assert windows.shape == (t, 1, 104) and np.abs(windows[:, 0] - expected).max() < 1e-4


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24), Fraction(50)])
def test_windows_are_read_by_time_at_any_rate(fps: Fraction) -> None:
    banks = counting(400)
    windows = banks.windows(40, 60, fps, 5)
    for frame, window in zip(range(40, 60), windows, strict=True):
        first = int(100 * frame / fps) - 8                              # two rows before the frame's own
        raw = banks.columns[first : first + 20].reshape(5, 104).astype(np.float64)
        expected = (raw - raw.mean(1, keepdims=True)) / np.sqrt(raw.var(1, keepdims=True) + 1e-5)
        assert np.abs(window - expected).max() < 1e-3
    some = banks.windows(47, 49, fps, 5)
    assert np.array_equal(some, windows[7:9])


def test_beyond_the_sound_rows_are_zero() -> None:
    windows = counting(40).windows(0, 30, FPS, 4)
    assert (windows[0, :2] == 0).all() and (windows[0, 3] != 0).any()
    assert (windows[20] == 0).all()


def test_an_excerpt_begins_when_it_says_and_is_silent_where_there_is_nothing() -> None:
    banks = counting(100)
    part = banks.excerpt(Fraction(1, 2), Fraction(2, 5))
    assert part.columns[:, 0].tolist() == list(range(50, 90))
    early = banks.excerpt(Fraction(-1, 10), Fraction(1, 5)).columns
    assert np.allclose(early[:10], SILENCE) and early[10:, 0].tolist() == list(range(10))


def test_what_is_faded_out_is_digital_silence() -> None:
    banks = log_filterbanks(chirp())
    open_, shut = np.ones(400, np.float32), np.zeros(400, np.float32)
    assert np.array_equal(banks.faded(open_, 80).columns, banks.columns)
    assert np.allclose(banks.faded(shut, 80).columns, SILENCE)
    half = np.repeat([1, 0], 80).astype(np.float32)                     # a second of each
    faded = banks.faded(half, 80).columns
    assert np.array_equal(faded[:99], banks.columns[:99]) and np.allclose(faded[100:], SILENCE)


def test_what_are_no_filter_banks_is_refused() -> None:
    with fails(ValueError, "columns", "[3, 80]"):
        FilterBanks(np.zeros((3, 80), np.float32))
    with fails(ValueError, "3..2"):
        counting(10).windows(3, 2, FPS, 4)
    with fails(ValueError, 16000, 8000):
        log_filterbanks(Waveform(np.zeros(9, np.float32), 8000))
