"""From prepared clips to lip motion, and what a reference is worth: two programs, end to end on thumbnails."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from core.program import exit_code
from dataset import save_clip
from evaluation.cli import main
from guided_diffusion.engine.checkpoint import load_checkpoint, save_checkpoint
from scripts import fit_motion, fit_neutral
from systems.registry import describe, load_motion
from systems.style import LipMotion, MotionSpace
from systems.style.frontal import RIGID
from systems.style.labels import SPACE, load_landmarks, save_landmarks
from tests.helpers.failing import check_error
from tests.helpers.seeded import seeded
from tests.helpers.tiny_motion import CONFIG, NUMBERS, mouth, openings, prepare, space
from tests.helpers.tiny_style import save
from tests.helpers.toy import talking


class Landmarker:
    """Stands in for MediaPipe: tells how bright a toy's chin is by how far its lips are apart."""

    asked = 0

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> "Landmarker":
        return self

    def __exit__(self, *_: object) -> None: ...

    def find_in_space(self, pictures: np.ndarray) -> np.ndarray:
        type(self).asked += 1
        chin = pictures[:, -1, pictures.shape[2] // 2, 0].astype(float)
        lips = mouth((chin - 20) / 500)
        deep = np.concatenate([lips, np.zeros((*lips.shape[:2], 1))], axis=2)
        rigid = np.tile(np.array(list(RIGID.values())), (len(pictures), 1, 1))
        return np.concatenate([rigid, deep], axis=1).astype(np.float32) * 40 + 100


def run(monkeypatch: pytest.MonkeyPatch, script: Any, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])
    return exit_code(script.main)


def test_lip_motion_is_fitted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fit_motion, "MediaPipe", Landmarker)
    for number in range(6):
        split = "test" if number == 5 else "train"
        save_clip(tmp_path / split / "ann" / f"clip{number}.npz", talking(number, frames=20))
    given = ("--data", tmp_path, "--landmarker", "x.task", "--numbers", NUMBERS, "--frames", 60)
    assert run(monkeypatch, fit_motion, *given) == 0
    labelled = sorted(path.parent.parent.name for path in tmp_path.rglob("*.landmarks.npy"))
    assert labelled == ["test", "train", "train", "train"] and Landmarker.asked == 4
    found = load_landmarks(tmp_path / "train" / "ann" / "clip0.npz")
    wanted = mouth(openings(talking(0, frames=20)))
    assert np.abs(found - wanted).max() < 0.05
    made = MotionSpace.load(tmp_path / SPACE, NUMBERS)
    opening = made.opening(made.motion(torch.from_numpy(found)))
    assert np.corrcoef(opening, openings(talking(0, frames=20)))[0, 1] > 0.95
    assert "4 clips looked at" in capsys.readouterr().out
    assert run(monkeypatch, fit_motion, *given) == 0 and Landmarker.asked == 4
    assert run(monkeypatch, fit_motion, "--data", tmp_path / "gone", *given[2:]) == 2


@pytest.mark.slow
def test_the_worth_of_a_reference_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = prepare(tmp_path / "data")
    save_clip(data / "test" / "tom" / "clip.npz", talking(9, frames=30))
    save_landmarks(data / "test" / "tom" / "clip.npz", mouth(openings(talking(9, frames=30))))
    with seeded():
        model = LipMotion(CONFIG)
    model.space.load_state_dict(space().state_dict())
    path = tmp_path / "motion.safetensors"
    save_checkpoint(path, describe("motion", model, 0, model.state_dict()))
    given = ("--data", data, "--model_path", path, "--reference", 40)
    assert main(["style", *map(str, given)]) == 2
    check_error(capsys.readouterr().err, "ann")

    for name in ("seen", "train/ann"):
        (data / name).rename(tmp_path / name.replace("/", "-"))
    outputs = ("--output", tmp_path / "figures.json", "--picture", tmp_path / "a.png")
    assert main(["style", *map(str, [*given, *outputs])]) == 0
    said = capsys.readouterr().out
    assert "unseen speakers: 2, 2 clips" in said and "| own, motion shuffled |" in said and "difference of mels" in said
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert {row["speaker"] for row in rows} == {"eve", "tom"}
    own, still = (rows[0]["figures"][name] for name in ("own", "no movement, own rest"))
    assert own["position"] > 0 and still["opening r"] == 0
    sheet = cv2.imread(str(tmp_path / "a.png"))
    assert min(sheet.shape[:2]) > 100 and sheet.std() > 20


@pytest.mark.slow
def test_which_mouth_a_still_speaks_around_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, old, new = prepare(tmp_path / "data"), save(tmp_path / "model"), tmp_path / "new.safetensors"
    given = ("--data", data, "--motion", old / "motion.safetensors", "--framing", "box", "--output", new)
    assert run(monkeypatch, fit_neutral, *given) == 0
    assert "train: the mean of all" in capsys.readouterr().out
    before, after = load_checkpoint(old / "motion.safetensors"), load_checkpoint(new)
    assert all(torch.equal(after.weights[name], value) for name, value in before.weights.items())
    motion = torch.ones(NUMBERS)
    assert not torch.equal(load_motion(new).neutral_of(motion), load_motion(old).neutral_of(motion))
    shutil.rmtree(data / "train" / "bob")
    assert run(monkeypatch, fit_neutral, *given[:-1], tmp_path / "none.safetensors") == 2
    check_error(capsys.readouterr().err, data, "pack more people")
    assert not (tmp_path / "none.safetensors").exists()
