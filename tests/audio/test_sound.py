"""A sound with its silences suppressed: its mel and its samples lose the same silences."""

from pathlib import Path

import numpy as np

from audio import SAMPLE_RATE, Mel, Sound, Waveform, log_mel, open_sound
from audio.activity import speech_activity
from core.errors import Mismatch
from tests.helpers.failing import fails
from tests.helpers.talking_head import tone


def words() -> np.ndarray:
    """Words from 2 s to 4 s of 8 s, and a little noise throughout."""
    t = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
    said = np.where((t >= 2) & (t < 4), 0.3 * np.sin(2 * np.pi * 300 * t) * (1 + np.sin(2 * np.pi * 700 * t)), 0)
    return (said + np.random.default_rng(0).normal(0, 0.002, len(t))).clip(-1, 1).astype(np.float32)


def test_a_sound_with_silences_suppressed_is_silent_between_the_words_in_both() -> None:
    samples = words()
    sound = Sound(log_mel(Waveform(samples, SAMPLE_RATE)), lambda: np.array_split(samples, 13))
    activity = speech_activity(sound.mel)
    suppressed = sound.silence_suppressed(activity)
    heard = np.concatenate(list(suppressed.blocks()))
    assert heard.dtype == np.float32 and len(heard) == len(samples)
    assert np.array_equal(heard, np.concatenate(list(suppressed.blocks())))  # begins anew
    assert np.array_equal(heard[int(2.2 * SAMPLE_RATE) : int(3.8 * SAMPLE_RATE)],
                          samples[int(2.2 * SAMPLE_RATE) : int(3.8 * SAMPLE_RATE)])  # fmt: skip
    assert not heard[: int(1.5 * SAMPLE_RATE)].any() and not heard[int(5 * SAMPLE_RATE) :].any()
    assert np.array_equal(suppressed.mel.columns, activity.silence_suppressed(sound.mel).columns)


def test_a_file_is_read_when_its_samples_are_asked_for(tmp_path: Path) -> None:
    sound = open_sound(tone(tmp_path / "tone.wav", 0.5))
    assert sum(block.size for block in sound.blocks()) == 8000 == sum(block.size for block in sound.blocks())


def test_a_sound_of_which_the_mel_alone_was_kept_says_so() -> None:
    with fails(Mismatch, "Whisper"):
        Sound(Mel(np.zeros((1, 80), np.float32), 0.0)).blocks()
