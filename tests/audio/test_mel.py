"""The mel is the original's, its windows are where the released weights expect them, and no frame is lost."""

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from audio import MELS, SAMPLE_RATE, SILENCE, WINDOW, Mel, Waveform, log_mel, read_mel, read_sound
from tests.helpers.failing import fails

PARITY = Path(__file__).parents[1] / "data" / "mel_parity.npz"  # what the original makes of `chirp()`
FPS = Fraction(25)


def chirp() -> Waveform:
    time = np.arange(round(2.6 * SAMPLE_RATE)) / SAMPLE_RATE
    loudness = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * time)
    samples = 0.5 * np.sin(2 * np.pi * (120 * time + 900 * time**2)) * loudness
    return Waveform(samples.astype(np.float32), SAMPLE_RATE)


def ramp(columns: int) -> Mel:
    """A mel whose every value tells its column."""
    values = np.linspace(-4, 4, columns, dtype=np.float32)
    return Mel(np.repeat(values[:, None], MELS, 1), columns / 80)


def test_the_mel_is_the_originals() -> None:
    with np.load(PARITY) as original:
        mel = log_mel(chirp())
        assert mel.seconds == 2.6
        assert np.abs(mel.columns.T - original["mel"]).max() < 1e-4
        starts = original["window_start"]
    windows = mel.windows(0, len(starts), FPS)
    for window, start in zip(windows, starts, strict=True):
        assert np.array_equal(window, mel.columns[start : start + WINDOW].T)


def test_windows_at_25_fps_open_where_the_original_opens_them() -> None:
    mel = ramp(16 * 2000)
    windows = mel.windows(0, 9000, FPS)
    starts = [int(80 * (max(frame - 1, 0) / 25)) for frame in range(9000)]
    assert starts[:7] == [0, 0, 3, 6, 9, 12, 16]
    assert np.array_equal(windows[:, 0, 0], mel.columns[starts, 0])


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30000, 1001), Fraction(50), Fraction(1350, 61)])
def test_windows_open_40_ms_before_their_frame_at_any_rate(fps: Fraction) -> None:
    mel = ramp(2000)
    windows = mel.windows(0, 300, fps)
    for frame in (0, 1, 2, 100, 299):
        start = int(80 * max(frame / fps - Fraction(1, 25), Fraction(0)))
        assert np.array_equal(windows[frame], mel.columns[start : start + WINDOW].T)
    assert np.array_equal(mel.windows(0, 300, fps, lead=Fraction(0))[100, 0, 0], mel.columns[int(8000 / fps), 0])


def test_any_range_of_windows_is_a_part_of_all_of_them() -> None:
    mel = log_mel(chirp())
    assert np.array_equal(mel.windows(0, 80, FPS)[33:57], mel.windows(33, 57, FPS))
    assert mel.windows(5, 5, FPS).shape == (0, MELS, WINDOW)


def test_past_the_end_there_is_silence() -> None:
    mel = ramp(40)
    windows = mel.windows(0, 1000, FPS)
    assert windows.shape == (1000, MELS, WINDOW) and windows.dtype == np.float32
    assert np.array_equal(windows[11][:, :8], mel.columns[32:].T)
    assert (windows[11][:, 8:] == SILENCE).all() and (windows[20:] == SILENCE).all()
    assert (mel.span(20, 5, FPS) == SILENCE).all()


def test_a_span_opens_at_its_frame() -> None:
    mel = ramp(400)
    assert np.array_equal(mel.span(5, 5, FPS), mel.columns[16:32].T)
    assert np.array_equal(mel.span(6, 5, FPS, columns=20), mel.columns[19:39].T)


def test_silence_is_the_lowest_value() -> None:
    assert (log_mel(Waveform(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)).columns == SILENCE).all()


@pytest.mark.parametrize("samples", [1, 199, 200, 799, 16_000, 160_000, 160_599, 160_600, 320_001])
def test_streaming_changes_nothing(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "noise.wav"
    noise = np.random.default_rng(samples).integers(-20_000, 20_000, samples).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(noise.tobytes())
    streamed, whole = read_mel(path), log_mel(read_sound(path))
    assert streamed.columns.shape == whole.columns.shape == (1 + samples // 200, MELS)
    assert np.abs(streamed.columns - whole.columns).max() < 1e-5
    assert streamed.seconds == whole.seconds == samples / SAMPLE_RATE


def test_a_part_of_the_sound_has_the_same_mel_away_from_its_edges() -> None:
    """The blocks that the sound is transformed in leave no trace."""
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.5, 0.5, 400_000).astype(np.float32)
    whole = log_mel(Waveform(samples, SAMPLE_RATE)).columns
    part = log_mel(Waveform(samples[100_000:300_000], SAMPLE_RATE)).columns
    assert np.abs(whole[503:1497] - part[3:997]).max() < 1e-5


def test_a_mel_refuses_to_be_inconsistent() -> None:
    for columns, seconds in [(np.zeros((5, 79), np.float32), 1), (np.zeros((5, 80)), 1), (ramp(5).columns, -1)]:
        with fails(ValueError, "columns" if seconds > 0 else seconds):
            Mel(columns, seconds)
    with fails(ValueError, 16000, 8000):
        log_mel(Waveform(np.zeros(5, np.float32), 8000))
    with fails(ValueError, "3..2"):
        ramp(5).windows(3, 2, FPS)


def test_another_voice_is_louder_or_longer_and_silence_stays_silence() -> None:
    mel = log_mel(chirp())
    assert mel.vocal_tract_perturbed(0, 1) is mel
    louder = mel.vocal_tract_perturbed(6, 1)
    heard = (mel.columns > SILENCE) & (mel.columns < 3)
    assert np.allclose(louder.columns[heard] - mel.columns[heard], 6 * 8 / 100, atol=1e-5)
    for other in (louder, mel.vocal_tract_perturbed(-60, 1.06), mel.vocal_tract_perturbed(60, 0.9)):
        assert other.columns.dtype == np.float32 and other.seconds == mel.seconds
        assert np.abs(other.columns).max() <= 4
    assert (louder.columns[mel.columns == SILENCE] == SILENCE).all()

    bands = Mel(np.tile(np.linspace(-3, 3, MELS, dtype=np.float32), (5, 1)), 0.05)
    stretched = bands.vocal_tract_perturbed(0, 1.1).columns
    assert np.allclose(stretched[0, :70], -3 + 6 / 79 * 1.1 * np.arange(70), atol=1e-5)  # band m is band 1.1 m
    assert np.allclose(stretched[0, 72:], 3, atol=1e-5)
