"""A new system is one folder: with it there, it is trained, started from, generates and is evaluated."""

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

import systems
from dataset import save_clip
from evaluation import weights
from evaluation.cli import main as evaluation
from lipsync.cli.main import generate
from systems import registry
from systems.training import train
from tests.helpers import toy
from tests.helpers.talking_head import talking, tone
from video import probe, write_video

FOLDER = Path(__file__).parents[1] / "helpers" / "fourth"


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if tests/helpers/fourth/echo lay in systems/."""
    monkeypatch.setattr(systems, "__path__", [*systems.__path__, str(FOLDER)])
    registry.specifications.cache_clear()
    yield
    registry.specifications.cache_clear()
    for name in [name for name in sys.modules if name.startswith("systems.echo")]:
        del sys.modules[name]


@pytest.mark.slow
def test_one_folder_is_all_it_takes(
    echo: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "weights_folders", lambda: ())  # of the evaluation: a machine without any
    data, run = tmp_path / "data", tmp_path / "run"
    for number, split in enumerate(("train", "train", "test")):
        save_clip(data / split / f"speaker{number}" / "clip.npz", toy.talking(number, frames=12))
    assert "echo-tiny" in registry.presets()
    assert train("echo-tiny", data, run, device="cpu")
    checkpoint = run / "weights.safetensors"
    assert registry.load_system(checkpoint).size == 32
    assert "test/audio_gap_db" in (run / "log.jsonl").read_text()
    train("echo-tiny", data, tmp_path / "again", init=checkpoint, device="cpu", settings=["model.unet.res_blocks=2"])

    real, made = tmp_path / "real" / "person.mp4", tmp_path / "made" / "person.mp4"
    for folder in (real.parent, made.parent):
        folder.mkdir()
    words = tone(tmp_path / "words.wav", 0.32)
    write_video(real, talking(8), Fraction(25), sound=words)
    flags = ["--video", real, "--audio", words, "--output", made, "--model_path", checkpoint, "--device", "cpu"]
    assert generate([str(flag) for flag in [*flags, "--box", "20,176,64,190"]]) == 0
    assert probe(made).frames == 8

    report = tmp_path / "report"
    flags = ["--real", real.parent, "--fake", made.parent, "--output", report, "--device", "cpu"]
    assert evaluation([str(flag) for flag in flags]) == 0
    assert json.loads((report / "report.json").read_text())
