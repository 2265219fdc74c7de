"""A sound that comes in pieces has the mel and the filter banks of the whole, in memory that does not grow."""

from fractions import Fraction

import numpy as np
import pytest

from audio import SAMPLE_RATE, LiveSound, Waveform, log_filterbanks, log_mel
from core.errors import BadInput

FPS = Fraction(30000, 1001)


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).uniform(-0.3, 0.3, round(seconds * SAMPLE_RATE))
    return samples.astype(np.float32)


@pytest.mark.parametrize("block", [1, 160, 999, 40_000])
def test_what_comes_in_pieces_is_heard_as_the_whole(block: int) -> None:
    samples = voice(0.2 if block == 1 else 2.0)
    live, whole = LiveSound(banks=True), Waveform(samples, SAMPLE_RATE)
    for start in range(0, len(samples), block):
        live.push(samples[start : start + block])
    live.end()
    assert live.banks is not None and live.seconds == log_mel(whole).seconds
    np.testing.assert_allclose(live.mel.columns, log_mel(whole).columns, atol=1e-6)
    np.testing.assert_allclose(live.banks.columns, log_filterbanks(whole).columns, atol=1e-5)


def test_a_column_is_there_as_soon_as_its_samples_are() -> None:
    live = LiveSound()
    live.push(voice(1.0)[: 200 * 10 + 400])
    assert len(live.mel.columns) == 11
    np.testing.assert_allclose(live.mel.columns, log_mel(Waveform(voice(1.0), SAMPLE_RATE)).columns[:11], atol=1e-6)


def test_memory_does_not_grow_and_numbers_stay_those_of_the_whole() -> None:
    samples, live = voice(60.0), LiveSound(banks=True)
    for start in range(0, len(samples), 8000):
        live.push(samples[start : start + 8000])
        live.forget(live.length - 10 * SAMPLE_RATE)
    whole = Waveform(samples, SAMPLE_RATE)
    assert len(live.mel.columns) < 15 * 80 and len(live._samples) < 15 * SAMPLE_RATE
    last = range(int(58 * FPS), int(59 * FPS))
    span = last.start, last.stop, FPS
    np.testing.assert_allclose(live.mel.windows(*span), log_mel(whole).windows(*span), atol=1e-6)
    assert live.banks is not None
    np.testing.assert_allclose(
        live.banks.windows(*span, rows=10), log_filterbanks(whole).windows(*span, rows=10), atol=1e-4
    )
    assert not live.samples(0, 1000).any()  # forgotten
    assert np.array_equal(live.samples(958_000, 962_000), np.pad(samples[958_000:], (0, 2000)))


@pytest.mark.slow
def test_what_is_no_sound_is_refused() -> None:
    live = LiveSound()
    with pytest.raises(BadInput, match="float32"):
        live.push(np.zeros((4, 2), np.float32))
    with pytest.raises(BadInput, match="finite"):
        live.push(np.array([np.nan], np.float32))
    live.push(np.zeros(601 * SAMPLE_RATE, np.float32))
    with pytest.raises(BadInput, match="take its frames"):
        live.push(voice(0.1))
    live.forget(600 * SAMPLE_RATE)
    live.push(voice(0.1))
    live.end()
    with pytest.raises(BadInput, match="has ended"):
        live.push(voice(0.1))
