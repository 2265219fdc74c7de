"""An OpenCV without cascades, as 5 is: only who asks for them notices.

Where it is about what is imported, in a fresh process.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from dataset import save_clip
from tests.helpers import forked
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


Ran = subprocess.CompletedProcess[str]


def run(program: str, *words: object) -> Ran:
    """A program of this project where OpenCV has no cascades, no weights are on disk, and no network is there."""
    command = [sys.executable, "-c", WITHOUT, program, *map(str, words), "--device", "cpu"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def run_forked(program: str, *words: object, folder: Path) -> Ran:
    """The same but for the imports, which were made while OpenCV had cascades."""
    (folder / "without.py").write_text(WITHOUT)
    return forked.run([folder / "without.py", program, *map(str, words), "--device", "cpu"], cwd=ROOT)


@pytest.fixture
def words(folder: Path, checkpoint: Path, tmp_path: Path) -> list[object]:
    return ["--video", folder / "person.mp4", "--audio", folder / "words.wav", "--output", tmp_path / "result.mp4",
            "--model_path", checkpoint, "--steps", "1", "--no_cache"]  # fmt: skip


@pytest.mark.slow
def test_generation_needs_none(words: list[object], tmp_path: Path) -> None:
    made = run("generate.py", *words, "--box", "20", "150", "80", "200")
    assert made.returncode == 0, made.stderr
    assert probe(tmp_path / "result.mp4").frames == 25


@pytest.mark.slow
@pytest.mark.parametrize("name", ["haar", "auto"])
def test_who_has_no_detector_is_told_what_to_do(words: list[object], tmp_path: Path, name: str) -> None:
    made = run_forked("generate.py", *words, "--face_detector", name, folder=tmp_path)
    (sentence,) = [line for line in made.stderr.splitlines() if line.startswith("error: ")]
    assert made.returncode == 2 and "pip install 'opencv-python<5'" in sentence and "Traceback" not in made.stderr
    assert ("download https://" in sentence) == (name == "auto")
    assert not (tmp_path / "result.mp4").exists()


@pytest.mark.slow
def test_a_training_step_needs_none(tmp_path: Path) -> None:
    for number in range(2):
        save_clip(tmp_path / "data" / "train" / "ann" / f"clip{number}.npz", talking(number, frames=12))
    words = [word for setting in TINY for word in ("--set", setting)]
    trained = run("train.py", "--system", "diff2lip-small", "--data", tmp_path / "data", "--output", tmp_path / "run",
                  *words)  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run" / "weights.safetensors").exists()
