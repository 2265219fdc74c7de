"""A style model with Whisper's ears from files to files: same motion whoever makes which part; silences suppressed."""

import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from audio.whisper import WhisperConfig
from guided_diffusion.engine.checkpoint import save_checkpoint
from lipsync.jobs.job import Job
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from systems.registry import describe, load_motion
from systems.style import LipMotion
from tests.helpers.prepared import prepared
from tests.helpers.talking_head import talking, tone
from tests.helpers.tiny_motion import CONFIG, space
from tests.helpers.tiny_style import filled, save
from video import write_video

EARS = replace(CONFIG.predictor, audio_encoder="whisper", whisper=WhisperConfig(width=8, heads=2, blocks=1))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder, whose stage 1 has other ears and the same reader."""
    folder = save(tmp_path_factory.mktemp("whisper model"))
    motion = filled(LipMotion(replace(CONFIG, predictor=EARS)))
    motion.space = space()
    motion.reader.load_state_dict(load_motion(folder).reader.state_dict())
    save_checkpoint(folder / "motion.safetensors", describe("motion", motion, 1, motion.state_dict()))
    return folder


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """170 frames, and as much sound."""
    here = tmp_path_factory.mktemp("long")
    sound = tone(here / "long.wav", 6.8, 150)
    write_video(here / "long.mp4", talking(170), Fraction(25), sound=sound, preset="ultrafast")
    return Job(here / "long.mp4", sound, here / "o.mp4")


def motion(model: Path, job: Job, within: tuple[int, int] | None = None, **settings: object) -> np.ndarray:
    box = (20.0, 150.0, 80.0, 200.0)  # which leaves nothing to be searched
    pipeline = LipSyncPipeline(model, Settings(box=box, device="cpu", precision="fp32", cache=None, **settings))  # type: ignore[arg-type]
    (turn,) = prepared(pipeline, job, within=within).turns
    assert turn.motion is not None
    return turn.motion


@pytest.mark.slow
def test_a_part_moves_as_in_the_whole(model: Path, job: Job) -> None:
    whole = motion(model, job)
    assert whole.shape == (170, 4) and np.isfinite(whole).all() and whole.std(axis=0).max() > 1e-4
    assert np.array_equal(motion(model, job, (120, 170)), whole)
    assert np.array_equal(motion(model, job, (60, 130)), whole)


@pytest.mark.slow
def test_what_is_suppressed_is_not_heard(model: Path, job: Job, tmp_path: Path) -> None:
    t = np.arange(6 * 16_000) / 16_000
    words = np.where(t < 3, np.sin(2 * np.pi * 300 * t) * (0.5 + 0.4 * np.sin(2 * np.pi * 5 * t)), 0)
    noise = np.random.default_rng(0).normal(0, 0.004, len(t))
    with wave.open(str(tmp_path / "words.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(((words * 0.5 + noise).clip(-1, 1) * 32767).astype("<i2").tobytes())
    said = replace(job, audio=tmp_path / "words.wav")
    open_, closed = motion(model, said), motion(model, said, silence="close")
    assert not np.array_equal(open_, closed)
    assert np.ptp(closed[110:140], axis=0).max() < np.ptp(open_[110:140], axis=0).max()
