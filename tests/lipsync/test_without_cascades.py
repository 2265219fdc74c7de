"""An OpenCV without cascades, as 5 is: only who asks for them notices.  Each in a fresh process, for its imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from dataset import save_clip
from tests.helpers.toy import talking
from video import probe

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import runpy, sys
import cv2
for name in ("CascadeClassifier", "CascadeClassifier_convert"):
    vars(cv2).pop(name, None)
sys.modules["cv2.data"] = None
from face_detection import weights
weights.find = lambda name: None
def unreachable(*_):
    raise OSError("no network")
weights.fetch = unreachable
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
TINY = [
    "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1,2]", "model.unet.patch=2",
    "model.unet.head_channels=32", "model.unet.attention_resolutions=[]", "train.precision=fp32", "train.batch=2",
    "train.steps=1", "train.warmup=0",
]  # fmt: skip


def run(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    """A program of this project where OpenCV has no cascades, no weights are on disk, and no network is there."""
    command = [sys.executable, "-c", WITHOUT, program, *map(str, words), "--device", "cpu"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def speak(folder: Path, checkpoint: Path, tmp_path: Path):
    output = tmp_path / "result.mp4"
    words = ["--video", folder / "person.mp4", "--audio", folder / "words.wav", "--output", output,
             "--model_path", checkpoint, "--steps", "1", "--no_cache"]  # fmt: skip
    return output, lambda *more: run("generate.py", *words, *more)


@pytest.mark.slow
def test_generation_needs_none(speak) -> None:
    output, generate = speak
    made = generate("--box", "20", "150", "80", "200")
    assert made.returncode == 0, made.stderr
    assert probe(output).frames == 25


@pytest.mark.slow
@pytest.mark.parametrize("name", ["haar", "auto"])
def test_who_has_no_detector_is_told_what_to_do(speak, name: str) -> None:
    output, generate = speak
    made = generate("--face_detector", name)
    (sentence,) = [line for line in made.stderr.splitlines() if line.startswith("error: ")]
    assert made.returncode == 2 and "pip install 'opencv-python<5'" in sentence and "Traceback" not in made.stderr
    assert ("download https://" in sentence) == (name == "auto")
    assert not output.exists()


@pytest.mark.slow
def test_a_training_step_needs_none(tmp_path: Path) -> None:
    for number in range(2):
        save_clip(tmp_path / "data" / "train" / "ann" / f"clip{number}.npz", talking(number, frames=12))
    words = [word for setting in TINY for word in ("--set", setting)]
    trained = run("train.py", "--system", "diff2lip-small", "--data", tmp_path / "data", "--output", tmp_path / "run",
                  *words)  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run" / "weights.safetensors").exists()
