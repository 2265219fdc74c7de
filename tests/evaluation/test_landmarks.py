"""Points are found where they are, by whoever finds them."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import BadInput
from evaluation.landmarks import Fan, fan_square, peaks
from evaluation.mediapipe_client import MediaPipe
from face_detection import Box

CPU = torch.device("cpu")
PLACE = Box(60, 20, 160, 148)


class Brightest(nn.Module):
    """Stands for FAN: every heat map is the picture itself, shrunk to 64 x 64."""

    def forward(self, x: Tensor) -> list[Tensor]:
        heat = nn.functional.avg_pool2d(x.mean(dim=1, keepdim=True), 4).expand(-1, 68, -1, -1)
        return [torch.zeros_like(heat), heat]


@pytest.mark.parametrize("spot", [(110, 120), (70, 60), (150, 141)])
def test_fans_points_come_back_to_the_picture(spot: tuple[int, int]) -> None:
    pictures = np.zeros((2, 224, 224, 3), np.uint8)
    for picture in pictures:
        cv2.circle(picture, spot, 5, (255, 255, 255), -1)
    pictures = np.stack([cv2.GaussianBlur(picture, (0, 0), 4) for picture in pictures])
    found = Fan(Brightest(), CPU).find(pictures, PLACE)
    assert found.shape == (2, 20, 2) and found.dtype == np.float32
    assert np.abs(found - (np.array(spot) + 0.5)).max() < 2  # a pixel of the heat map is 3 of the picture


def test_fan_looks_at_a_square_around_the_face() -> None:
    square = fan_square(PLACE)
    assert square.width == pytest.approx(square.height)
    assert square.x0 < PLACE.x0 and square.x1 > PLACE.x1 and square.y1 > PLACE.y1


def test_a_peak_leans_to_its_higher_neighbour_unless_it_lies_at_the_border() -> None:
    heat = torch.zeros(1, 2, 8, 8)
    heat[0, 0, 3, 5], heat[0, 0, 3, 6], heat[0, 0, 2, 5] = 9, 1, 1
    heat[0, 1, 0, 7] = 9
    assert peaks(heat).tolist() == [[[5.75, 3.25], [7.5, 0.5]]]


@pytest.mark.slow
def test_fan_loads_the_packages_network(tmp_path: Path) -> None:
    from face_alignment.models import FAN

    torch.save(FAN(4).state_dict(), tmp_path / "fan.pth.tar")
    fan = Fan.load(tmp_path / "fan.pth.tar", CPU)
    assert fan.find(np.zeros((1, 224, 224, 3), np.uint8), PLACE).shape == (1, 20, 2)


def python(folder: Path, package: str) -> Path:
    """An interpreter whose mediapipe is this package."""
    (folder / "mediapipe.py").write_text(package)
    program = folder / "python"
    program.write_text(
        f"#!{sys.executable}\nimport runpy, sys\nsys.path.insert(0, {str(folder)!r})\n"
        "sys.argv = sys.argv[2:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    program.chmod(0o755)
    return program


PACKAGE = '''
from types import SimpleNamespace as N
import os
class Landmarker:
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def detect(self, picture):
        if picture[0, 0, 0] == 13: os._exit(1)
        point = N(x=picture[0, 0, 0] / 100, y=picture[0, 0, 1] / 100, z=0.5)
        return N(face_landmarks=[[point] * 478] if picture.any() else [])
vision = N(
    FaceLandmarkerOptions=lambda base_options: base_options,
    FaceLandmarker=N(create_from_options=lambda options: Landmarker()),
)
tasks = N(vision=vision, BaseOptions=lambda model_asset_path: model_asset_path)
ImageFormat = N(SRGB=1)
Image = lambda kind, picture: picture
'''


def test_mediapipe_answers_from_another_environment(tmp_path: Path) -> None:
    pictures = np.zeros((3, 8, 10, 3), np.uint8)
    pictures[0, 0, 0], pictures[2, 0, 0] = (50, 25, 0), (10, 20, 0)
    with MediaPipe(python(tmp_path, PACKAGE), tmp_path / "face_landmarker.task") as landmarks:
        assert landmarks.find(pictures, PLACE).shape == (3, 20, 2)
        for _ in range(2):
            found = landmarks.find(pictures, PLACE)
            assert np.allclose(found[0], (5, 2)) and np.isnan(found[1]).all() and np.allclose(found[2], (1, 1.6))
        pictures[0, 0, 0] = 13
        with pytest.raises(BadInput, match="has ended early"):
            landmarks.find(pictures, PLACE)
        with pytest.raises(BadInput, match="has ended early"):
            landmarks.find(np.zeros((500, 100, 100, 3), np.uint8), PLACE)
    with MediaPipe(python(tmp_path, PACKAGE), tmp_path / "face_landmarker.task", (13, 14, 152)) as landmarks:
        found = landmarks.find_in_space(pictures[2:])
        assert found.shape == (1, 3, 3) and np.allclose(found, (1, 1.6, 5))


def test_without_mediapipe_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="pip install mediapipe in an environment of its own"):
        MediaPipe(python(tmp_path, "raise ImportError"), tmp_path / "face_landmarker.task")
    with pytest.raises(BadInput, match="cannot be run"):
        MediaPipe(tmp_path / "nothing", tmp_path / "face_landmarker.task")
