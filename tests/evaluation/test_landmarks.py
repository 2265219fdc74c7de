"""FAN finds points where they are."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from evaluation.metrics.landmarks import Fan, fan_square, peaks
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
