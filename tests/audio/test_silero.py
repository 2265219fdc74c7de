"""silero-vad as the one who tells when somebody speaks: real speech in silence and in noise; skipped without it."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from audio import SAMPLE_RATE, Sound, Waveform, log_mel, read_sound
from audio import silero as detector
from core.errors import NotFound
from tests.helpers.failing import fails

SPEECH = Path(__file__).parents[2] / "scripts" / "demo" / "speech.flac"
INSTALLED = find_spec("silero_vad") is not None and find_spec("onnxruntime") is not None
needs_it = pytest.mark.skipif(not INSTALLED, reason="requirements-silero.txt is not installed")


def heard(samples: np.ndarray, blocks: int = 7) -> Sound:
    return Sound(log_mel(Waveform(samples, SAMPLE_RATE)), lambda: np.array_split(samples, blocks))


def between_noise(level: float) -> np.ndarray:
    """2 s of noise, 3 s of speech, 2 s of noise; the noise goes on below the speech: f32 [n]."""
    said = read_sound(SPEECH).samples[: 3 * SAMPLE_RATE]
    whole = np.pad(said, 2 * SAMPLE_RATE)
    return (whole + np.random.default_rng(0).normal(0, level, len(whole))).clip(-1, 1).astype(np.float32)


@needs_it
@pytest.mark.parametrize("level", [0.0, 0.03])
def test_speech_is_told_from_silence_and_from_noise(level: float) -> None:
    sound = heard(between_noise(level))
    speaking = detector.silero_activity(sound).speaking
    assert len(speaking) == len(sound.mel.columns)
    assert not speaking[:140].any() and not speaking[-120:].any()  # 80 columns a second
    assert speaking[180:380].mean() > 0.8


@needs_it
def test_it_does_not_matter_in_which_blocks_the_samples_come() -> None:
    samples = np.tile(between_noise(0.01), 3)  # longer than what is judged at once
    one, many = (detector.probabilities(np.array_split(samples, blocks)) for blocks in (1, 97))
    assert np.allclose(one, many, atol=1e-6) and len(one) == -(-len(samples) // detector.FRAME)


@needs_it
def test_no_sound_at_all_is_nobody_speaking() -> None:
    assert detector.probabilities([]).shape == (0,)


@pytest.mark.parametrize("gone", ["onnxruntime", "silero_vad"])
def test_a_package_that_is_missing_is_one_sentence(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if gone == "onnxruntime":
        monkeypatch.setitem(sys.modules, gone, None)
    else:
        pytest.importorskip("onnxruntime")
        monkeypatch.setattr(detector, "find_spec", lambda _: None)
    detector._session.cache_clear()
    with fails(NotFound, "--speech_detector silero", gone.replace("_", "-"), "requirements-silero.txt"):
        detector.probabilities([np.zeros(600, np.float32)])
