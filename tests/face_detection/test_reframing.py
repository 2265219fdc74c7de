"""Boxes are corrected towards VoxCeleb2's framing, each by itself, and never far; who trains the network gets one."""

import csv
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from core.errors import NotFound
from core.program import exit_code
from face_detection import Box, Detection, reframing
from face_detection.detector import ASPECT
from face_detection.reframing import WEIGHTS, BoxRefiner, FramingNetwork, load_framing
from scripts import train_framing
from tests.helpers.failing import fails
from video import write_video

PORTRAIT = Path(__file__).parents[2] / "scripts" / "demo" / "portrait.jpg"


class Sees(FramingNetwork):
    """Corrects a box by so much, whatever it holds, once."""

    def __init__(self, *change: float) -> None:
        super().__init__()
        self.left = [torch.tensor([change])]

    def forward(self, faces: Tensor) -> Tensor:
        assert faces.shape == (1, 3, 64, 64) and faces.min() >= -1 and faces.max() <= 1
        return self.left.pop() if self.left else torch.zeros(1, 3)


class Finds:
    """A detector that finds these boxes in every frame."""

    name = "finds"

    def __init__(self, *boxes: Box) -> None:
        self.boxes = boxes

    def detect(self, frames: list[np.ndarray]) -> list[list[Detection]]:
        return [[Detection(box, 0.7) for box in self.boxes] for _ in frames]


def face(*, x: float = 224, y: float = 115, height: float = 126) -> Box:
    """Where the portrait's face is, about."""
    return Box.centred(x, y, ASPECT * height, height)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return cv2.imread(str(PORTRAIT))[..., ::-1].copy()


def test_a_box_is_moved_and_grown_by_what_the_network_says(portrait: np.ndarray) -> None:
    detector = BoxRefiner(Finds(Box(100, 100, 140, 150)), Sees(0.1, -0.2, np.log(1.2)))
    ((found,),) = detector.detect([portrait])
    assert detector.name == "finds" and found.score == 0.7
    assert_allclose(found.box.corners, Box.centred(124, 115, 48, 60).corners, atol=0.02)


def test_no_box_is_moved_far_whatever_the_network_says(portrait: np.ndarray) -> None:
    ((found,),) = BoxRefiner(Finds(Box(100, 100, 140, 150)), Sees(5, -5, 9)).detect([portrait])
    assert_allclose(found.box.centre, (128, 115), atol=0.02)
    assert found.box.width == pytest.approx(40 * np.exp(0.35), abs=0.02)


@pytest.mark.skipif(not WEIGHTS.exists(), reason="a copy without these weights")
def test_boxes_that_are_off_come_to_lie_on_each_other(portrait: np.ndarray) -> None:
    off = [face(height=110), face(height=146), face(x=214), face(x=234), face(y=105), face(y=125)]
    (found,) = BoxRefiner(Finds(*off), load_framing()).detect([portrait])
    boxes = np.array([one.box.corners for one in found])
    before, after = (np.ptp(values, axis=0).max() for values in (np.array([box.corners for box in off]), boxes))
    assert after < before / 4
    assert face().iou(Box(*boxes.mean(axis=0))) > 0.85
    alone = [BoxRefiner(Finds(box), load_framing()).detect([portrait])[0][0] for box in off]
    assert alone == found


def test_missing_weights_are_one_sentence(tmp_path: Path) -> None:
    for content in (None, b"no weights"):
        if content is not None:
            (tmp_path / "framing.safetensors").write_bytes(content)
        with fails(NotFound, "framing.safetensors") as caught:
            load_framing(tmp_path / "framing.safetensors")
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_it_is_trained_from_published_crops(
    tmp_path: Path, portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for number, split in enumerate(("train", "train", "test")):
        crop = cv2.resize(portrait[24:248, 100 + 8 * number : 324 + 8 * number], (224, 224))
        write_video(tmp_path / f"{number}.mp4", [crop] * 5, Fraction(25))
        rows.append({"file": f"{number}.mp4", "split": split, "speaker": f"speaker{number}"})
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    rows.append({"file": "broken.mp4", "split": "train", "speaker": "nobody"})
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "split", "speaker"])
        writer.writeheader()
        writer.writerows(rows)
    made = tmp_path / "framing.safetensors"
    monkeypatch.setattr(
        sys, "argv", ["script", "--list", str(tmp_path / "clips.csv"), "--output", str(made), "--steps", "3"]
    )
    assert exit_code(train_framing.main) == 0
    assert isinstance(load_framing(made), FramingNetwork)
    said = capsys.readouterr()
    assert "| test | 2 | 1 |" in said.out and "broken.mp4" in said.err

    for row in rows:
        clip = tmp_path / "pack" / "piece-000" / row["split"] / row["speaker"] / row["file"]
        clip.parent.mkdir(parents=True)
        (tmp_path / row["file"]).rename(clip)
    first = made.read_bytes()
    monkeypatch.setattr(
        sys, "argv", ["script", "--data", str(tmp_path / "pack"), "--output", str(made), "--steps", "3"]
    )
    assert exit_code(train_framing.main) == 0
    assert made.read_bytes() == first  # a pack of the same videos is the same data


def test_how_boxes_overlap() -> None:
    change = torch.tensor([[0.0, 0, 0], [0.5, 0, 0], [0, 0, np.log(2)], [2, 0, 0]])
    assert_allclose(train_framing.overlap(change), [1, 1 / 3, 1 / 4, 0], atol=1e-6)
    whole, moved = Box(0, 0, 10, 20), reframing.changed(Box(0, 0, 10, 20), np.array([0.1, 0.2, np.log(1.3)]))
    assert train_framing.overlap(torch.tensor([[0.1, 0.2, np.log(1.3)]])).item() == pytest.approx(whole.iou(moved))
