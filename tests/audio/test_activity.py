"""When somebody speaks: synthetic syllables whose times are known, in silence, in noise, at any loudness."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from audio import MEL_RATE, SAMPLE_RATE, SILENCE, Waveform, log_mel, read_mel
from audio.activity import GAP, HANGOVER, PRE_ROLL, Activity, speech_activity
from core.runs import runs

REAL = Path(__file__).parents[2].parent / "shared" / "clips" / "speech"
WORDS = ((1.0, 2.2), (3.5, 4.0), (6.0, 8.0))


def sound(words=WORDS, seconds: float = 10.0, *, noise: float = 0.0, gain: float = 1.0) -> np.ndarray:
    """Voiced syllables, four a second with dips of 20 dB between, in white noise: f32 [n]."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    syllables = 0.1 + 0.9 * np.abs(np.sin(2 * np.pi * 2 * t))
    on = np.zeros(len(t))
    for start, stop in words:
        on[(t >= start) & (t < stop)] = 1
    random = np.random.default_rng(0).normal(0, noise, len(t))
    return np.clip(gain * (0.15 * voice * syllables * on + random), -1, 1).astype(np.float32)


def activity(samples: np.ndarray) -> Activity:
    return speech_activity(log_mel(Waveform(samples, SAMPLE_RATE)))


def spans(found: Activity) -> list[tuple[float, float]]:
    """Where somebody speaks, in seconds."""
    edges = np.flatnonzero(np.diff(np.r_[0, found.speaking, 0])) / 80
    return list(zip(edges[::2], edges[1::2], strict=True))


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.01])
@pytest.mark.parametrize("gain", [1.0, 0.05])
@pytest.mark.slow
def test_words_are_found_at_any_loudness_and_in_noise(noise, gain):
    found = spans(activity(sound(noise=noise, gain=gain)))
    assert len(found) == len(WORDS)
    for (start, stop), (first, last) in zip(found, WORDS, strict=True):
        assert abs(start - (first - PRE_ROLL)) < 0.08 and abs(stop - (last + HANGOVER)) < 0.08


def test_a_floor_that_rises_is_followed():
    samples = sound(((1, 3), (14, 16), (27, 29)), 30, noise=0.001)
    samples[15 * SAMPLE_RATE // 2 :] += np.random.default_rng(1).normal(0, 0.01, len(samples))[15 * SAMPLE_RATE // 2 :]
    found = spans(activity(np.clip(samples, -1, 1).astype(np.float32)))
    assert [round(start + PRE_ROLL) for start, _ in found if start > 13] == [14, 27]


def test_nothing_is_nothing_and_what_cannot_be_told_counts_as_speech():
    assert spans(activity(np.zeros(3 * SAMPLE_RATE, np.float32))) == []
    hum = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE).clip(-1, 1).astype(np.float32)
    assert activity(hum).speaking.all()


def test_a_click_is_no_word_and_a_breath_between_words_no_silence():
    samples = sound(((1, 2), (2 + 0.8 * GAP, 3)), 6)
    samples[5 * SAMPLE_RATE : 5 * SAMPLE_RATE + 40] = 0.9
    ((start, stop),) = spans(activity(samples))
    assert start < 1 and 3 < stop < 3.4


def test_the_gate_rises_before_and_falls_after_and_never_jumps():
    open_ = activity(sound()).gate_gain
    assert open_.max() == 1 and open_.min() == 0
    assert np.diff(open_).max() <= 1 / (0.08 * 80) + 1e-6 and np.diff(open_).min() >= -1 / (0.2 * 80) - 1e-6
    assert (open_[activity(sound()).speaking] == 1).all()


def test_the_gate_of_frames_at_any_rate_and_past_the_end():
    found = activity(sound())
    for fps in (Fraction(25), Fraction(30000, 1001)):
        gate = found.gate(0, 400, fps)
        inside = int(1.5 * fps)
        assert gate[inside] == 1 and gate[int(5 * fps)] == 0 and not gate[int(10.2 * fps) :].any()
        assert np.array_equal(found.gate(inside, inside + 5, fps), gate[inside : inside + 5])


def test_suppressing_silence_leaves_the_words_and_silences_the_rest():
    mel = log_mel(Waveform(sound(noise=0.01), SAMPLE_RATE))
    found = speech_activity(mel)
    suppressed = found.silence_suppressed(mel)
    assert np.array_equal(suppressed.columns[100:160], mel.columns[100:160])
    assert (suppressed.columns[400:440] == SILENCE).all() and (mel.columns[400:440] > SILENCE).any()
    assert len(suppressed.columns) == len(mel.columns) and suppressed.seconds == mel.seconds


def test_silences_are_what_is_left():
    found = activity(sound())
    starts = [round(start / MEL_RATE, 1) for start, _ in runs(~found.speaking)]
    assert starts == pytest.approx([0, 2.3, 4.2, 8.1], abs=0.11)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not here")
def test_read_speech_is_mostly_speech():
    for path in sorted(REAL.glob("libri_*"))[:3]:
        share = speech_activity(read_mel(path)).speaking.mean()
        assert 0.6 < share < 1.0, path
