"""The voice alone moves the lips; the result keeps all of the sound."""

import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from audio import read_filterbanks, read_mel, read_sound
from core.errors import BadInput
from lipsync.jobs.job import Job
from lipsync.jobs.runner import dub
from lipsync.onnx.voice_separator import VoiceSeparator, overlapped
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from tests.helpers.tiny_style import save as save_style
from tests.helpers.toy_onnx import NEEDED, brighter, filtered, save, stems

pytestmark = NEEDED
CPU = torch.device("cpu")
RATE = 16_000


def written(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """samples [n] or [n, 2], of -1 to 1"""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else 2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def voice(seconds: float) -> np.ndarray:
    """A tone of 1 kHz in syllables."""
    t = np.arange(round(seconds * RATE)) / RATE
    return 0.3 * np.sin(2 * np.pi * 1000 * t) * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)


def music(seconds: float) -> np.ndarray:
    """A loud chord above it, without a pause."""
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(0.2 * np.sin(2 * np.pi * pitch * t) for pitch in (3600, 4200, 5000))


def below(hertz: float = 2000, taps: int = 129) -> np.ndarray:
    """A filter that lets pass what is lower."""
    n = np.arange(taps) - taps // 2
    kernel = np.sinc(2 * hertz / RATE * n) * np.hamming(taps)
    return np.asarray(kernel / kernel.sum())


@pytest.mark.parametrize("length", [0, 1, 63, 64, 99, 100, 101, 163, 175, 176, 1000])
def test_chunks_that_nothing_happens_to_are_the_sound(length: int) -> None:
    sound = np.random.default_rng(0).normal(size=(2, length)).astype(np.float32)
    blocks = np.array_split(sound, 7, axis=1)
    sizes: list[int] = []

    def work(chunk: np.ndarray) -> np.ndarray:
        sizes.append(chunk.shape[1])
        return chunk

    made = np.concatenate([np.zeros((2, 0), np.float32), *overlapped(blocks, 100, work)], axis=1)
    assert made.shape == sound.shape and np.allclose(made, sound, atol=1e-6) and set(sizes) <= {100}
    assert len(sizes) <= max(length / 75, 1) + 1


def test_what_comes_out_is_as_long_and_heard_alike_by_all(tmp_path: Path) -> None:
    mixed = written(tmp_path / "mixed.wav", voice(3.3) + music(3.3))
    alone = written(tmp_path / "alone.wav", voice(3.3))
    path = filtered(tmp_path / "voice.onnx", below(), size=8000, sample_rate="16000")
    separator = VoiceSeparator(path, CPU)
    sound = separator.open_sound(mixed)
    samples = np.concatenate(list(sound.blocks()))
    assert samples.size == read_sound(mixed).samples.size and sound.mel.seconds == read_mel(mixed).seconds
    assert separator.seconds(mixed) == sound.mel.seconds
    assert np.sqrt(np.square(samples - read_sound(alone).samples).mean()) < 0.02 < np.abs(music(1)).mean()
    apart, heard = (np.abs(mel.columns - read_mel(alone).columns).mean() for mel in (sound.mel, read_mel(mixed)))
    assert apart < 0.3 * heard
    banks = [read.columns for read in (separator.read_filterbanks(mixed), read_filterbanks(mixed))]
    assert banks[0].shape == banks[1].shape and np.abs(banks[0] - banks[1]).mean() > 1


@pytest.mark.parametrize("rate", [16_000, 44_100, 22_050])
def test_stems_and_rates(tmp_path: Path, rate: int) -> None:
    stereo = np.stack([voice(1.5), 0.5 * voice(1.5)], axis=1)
    path = written(tmp_path / "stereo.wav", stereo)
    separator = VoiceSeparator(stems(tmp_path / "stems.onnx", rate, sample_rate=str(rate)), CPU)
    samples = np.concatenate(list(separator.open_sound(path).blocks()))
    wanted = 0.7 * stereo.mean(axis=1)
    assert samples.size == wanted.size and np.abs(samples - wanted).mean() < 0.005
    said = VoiceSeparator(stems(tmp_path / "two.onnx", rate, (0.9, 0.1), sample_rate=str(rate), voice="0"), CPU)
    louder = np.concatenate(list(said.open_sound(path).blocks()))
    assert np.abs(louder - 0.9 * stereo.mean(axis=1)).mean() < 0.005


def test_of_channels_that_cancel_the_louder_one_is_heard(tmp_path: Path) -> None:
    stereo = np.stack([voice(1.0), -voice(1.0)], axis=1)
    path = written(tmp_path / "stereo.wav", stereo)
    separator = VoiceSeparator(stems(tmp_path / "stems.onnx", 8000), CPU, RATE)
    assert np.abs(np.concatenate(list(separator.open_sound(path).blocks()))).max() > 0.15


@pytest.mark.parametrize(
    ("make", "words"),
    [(brighter, "where a voice separator takes one waveform"),
     (lambda path: filtered(path, np.ones(1)), "do not say sample_rate; pass --separator_rate, such as 44100"),
     (lambda path: filtered(path, np.ones(1), sample_rate="fast"), "says sample_rate: fast"),
     (lambda path: filtered(path, np.ones(1), 100, sample_rate="16000"), "less than a quarter of a second"),
     (lambda path: stems(path, shares=(1.0, 0.0), sample_rate="44100"), "which is the voice, where `voice` says it"),
     (lambda path: save(path, [("Identity", ("x",), "y", {})], {"x": (1, 4, 3072, 256)}, {"y": (1, 4, 3072, 256)}),
      r"takes x \[1, 4, 3072, 256\]")],
)  # fmt: skip
def test_what_is_no_separator_is_a_sentence(tmp_path: Path, make, words: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "model.onnx")
    with pytest.raises(BadInput, match=f"--voice_separator .*{words}"):
        VoiceSeparator(tmp_path / "model.onnx", CPU)


@pytest.mark.slow
def test_lips_move_by_the_voice_and_the_result_keeps_all(folder: Path, tmp_path: Path) -> None:
    settings = Settings(box=(20, 134, 90, 180), device="cpu", precision="fp32", cache=None, codec="ffv1")
    pipeline = LipSyncPipeline(save_style(tmp_path), settings)
    mixed = written(tmp_path / "mixed.wav", voice(1.2) + music(1.2))
    alone = written(tmp_path / "alone.wav", voice(1.2))
    network = filtered(tmp_path / "voice.onnx", below(), size=8000)

    def made(audio: Path, name: str, **changes: object):  # type: ignore[no-untyped-def]
        job = Job(folder / "person.mp4", audio, tmp_path / f"{name}.mkv", motion_out=tmp_path / f"{name}.npz")
        report = dub(pipeline.adjusted(**changes), job)
        return np.load(tmp_path / f"{name}.npz")["motion"], read_sound(job.output).samples, report

    by_voice, _, _ = made(alone, "alone")
    by_all, sound, plain = made(mixed, "all")
    separated, kept, report = made(mixed, "separated", voice_separator=network, separator_rate=RATE)
    assert separated.shape == by_all.shape and np.array_equal(sound, kept)
    assert np.abs(separated - by_voice).mean() < 0.6 * np.abs(by_all - by_voice).mean()
    assert report.extras == {"voice_separator": "voice.onnx, 16000 Hz"} and report.seconds["separate"] > 0
    assert not plain.extras and "separate" not in plain.seconds
