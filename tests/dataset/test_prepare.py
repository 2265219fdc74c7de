"""From a list of videos to a prepared folder; what cannot be read is named, and the same command goes on."""

import os
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from audio import read_mel
from dataset import entries, load_clip, prepare
from errors import BadInput, BatchFailed
from face_detection.box import voxceleb2_box
from video import write_video

ROOT = Path(__file__).parents[2]
FPS = Fraction(30000, 1001)


def video(path: Path, *, frames: int = 8) -> Path:
    """Frame k is grey level 20 + 20 k where VoxCeleb2's crop is, and bright around it; 16 kHz sound that rises."""
    path.parent.mkdir(exist_ok=True)
    sound = path.with_suffix(".wav")
    samples = np.linspace(0, 1, frames * 16_000 // 30) * np.random.default_rng(0).uniform(-1, 1, frames * 16_000 // 30)
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 20_000).astype("<i2").tobytes())
    box = voxceleb2_box(96, 96)
    pictures = np.full((frames, 96, 96, 3), 230, np.uint8)
    for k, picture in enumerate(pictures):
        picture[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = 20 + 20 * k
    write_video(path, pictures, FPS, sound=sound, crf=10)
    sound.unlink()
    return path


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """A list of two videos, one of them in a folder with a space."""
    video(tmp_path / "a.mp4")
    video(tmp_path / "some folder" / "b.mp4", frames=6)
    path = tmp_path / "clips.csv"
    path.write_text("speaker,file,split,note\nann,a.mp4,train,x\nbob,some folder/b.mp4,test,y\n")
    return path


def run(listing: Path, output: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    arguments = ["prepare", "--list", str(listing), "--output", str(output), "--size", "32", "--workers", "1", *more]
    monkeypatch.setattr(sys, "argv", arguments)
    prepare.main()


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are threads here: a fork of a process that has torch's threads may hang."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(prepare, "ProcessPoolExecutor", ThreadPoolExecutor)


def test_clips_are_cut_resized_and_filed(listing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "prepared"
    run(listing, output, monkeypatch)
    files = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    assert files == ["test/bob/b.npz", "train/ann/a.npz"]
    (entry,) = entries(output, "train")
    clip = load_clip(entry)
    assert clip.faces.shape == (8, 32, 32, 3) and clip.fps == FPS and clip.speaker == "ann"
    for k, face in enumerate(clip.faces):
        assert np.abs(face[2:-2, 2:-2].astype(int) - (20 + 20 * k)).max() < 8
    mel = read_mel(tmp_path / "a.mp4")
    assert np.abs(clip.mel.columns - mel.columns).max() < 5e-3
    assert load_clip(entries(output, "test")[0]).faces.shape[0] == 6


def test_the_same_command_goes_on_and_names_what_is_broken(
    listing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "prepared"
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    with listing.open("a") as file:
        file.write("eve,broken.mp4,train,z\neve,gone.mp4,train,z\n")
    with pytest.raises(BatchFailed, match=r"2 of 4 clips left out: .*(broken|gone)\.mp4.*(broken|gone)\.mp4") as caught:
        run(listing, output, monkeypatch)
    assert caught.value.exit_code == 5
    made = {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")}
    assert len(made) == 2

    video(tmp_path / "broken.mp4", frames=4)
    with pytest.raises(BatchFailed, match=r"1 of 2 clips left out: .*gone\.mp4"):
        run(listing, output, monkeypatch)
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    assert len(entries(output, "train")) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,split\na.mp4,train\n", "file, split and speaker"),
        ("file,split,speaker\n", "at least one row"),
        ("file,split,speaker\na.mp4,train\n", "file, split and speaker"),
        ("file,split,speaker\nx/a.mp4,train,ann\ny/a.mp4,train,ann\n", "would both become .*; rename one"),
    ],
)
def test_a_list_that_says_too_little_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(BadInput, match=rf"clips\.csv: .*{says}"):
        prepare.sources(tmp_path / "clips.csv", tmp_path)


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.csv: not a readable list"):
        prepare.sources(tmp_path / "gone.csv", tmp_path)


@pytest.mark.slow
def test_the_program_answers_a_problem_with_one_sentence_and_its_exit_code(tmp_path: Path) -> None:
    """As a program, with real worker processes."""
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    (tmp_path / "clips.csv").write_text("file,split,speaker\nbroken.mp4,train,ann\n")
    command = [sys.executable, "-m", "dataset.prepare", "--list", "clips.csv", "--output", "prepared"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("\n") == 1 and "broken.mp4" in done.stderr and "Traceback" not in done.stderr
