"""Who finds the points of a mouth: FAN, the landmarks of the published figures, or MediaPipe's."""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from core.arrays import Pictures
from face_detection import Box
from face_detection.networks import S3FD_CALIBRATION
from guided_diffusion.engine.checkpoint import load_checkpoint, load_strictly

from ..video_sample import Points

MOUTH = slice(48, 68)  # of iBUG's 68 points
SIDE, HEAT = 256, 64  # pixels of FAN's input and of its heat maps
BLOCK = 8  # pictures at a time


class Landmarks(Protocol):
    """Finds the 20 points of a mouth."""

    name: str

    def find(self, pictures: Pictures, place: Box) -> Points:
        """pictures u8 [t, h, w, 3] RGB, the face at `place` -> f32 [t, 20, 2] (x, y) in pixels, NaN where none is."""
        ...


class Fan:
    """The face alignment network (Bulat and Tzimiropoulos 2017), 2D, four hourglasses, of the face-alignment package.

    Only the network is the package's, since its program fetches weights and a detector behind one's back.  The square
    that it sees is theirs: around a point 0.12 of the detector's box above its middle, (width + height) / 195 * 200
    wide.  Theirs cuts it at whole pixels and averages with the mirrored picture; this does neither.
    """

    name = "FAN"

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        """network: [n, 3, 256, 256] in [0, 1] -> heat maps [n, 68, 64, 64], or a list that ends with them."""
        self._network = network.to(device).eval().requires_grad_(False)
        self._device = device

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "Fan":
        """With the published weights.  Raises BadInput if they are not that network's."""
        from face_alignment.models import FAN  # seconds to import (numba)

        network = FAN(4)
        load_strictly(network, load_checkpoint(path).weights, str(path))
        return cls(network, device)

    @torch.inference_mode()
    def find(self, pictures: Pictures, place: Box) -> Points:
        """See `Landmarks`.  It finds points in anything, so that none is NaN."""
        square = fan_square(place)
        parts = []
        for first in range(0, len(pictures), BLOCK):
            crops = np.stack([_cut(picture, square) for picture in pictures[first : first + BLOCK]])
            heat = self._network(torch.from_numpy(crops).permute(0, 3, 1, 2).float().to(self._device) / 255)
            parts.append(peaks((heat[-1] if isinstance(heat, list) else heat).float().cpu()))
        corner = np.array([square.x0, square.y0])
        points = torch.cat(parts).numpy() * (square.width / HEAT) + corner
        return np.asarray(points[:, MOUTH], np.float32)


def fan_square(place: Box) -> Box:
    """What FAN looks at for a face framed as VoxCeleb2's, by way of the box that S3FD would have found there."""
    height = place.height / S3FD_CALIBRATION.height
    x, y = place.centre
    x, y = x - S3FD_CALIBRATION.x * height, y - S3FD_CALIBRATION.y * height
    width = place.width / S3FD_CALIBRATION.height
    side = (width + height) / 195 * 200
    return Box.centred(x, y - 0.12 * height, side, side)


def peaks(heat: Tensor) -> Tensor:
    """Heat maps [n, p, h, w] -> [n, p, 2]: (x, y) of each maximum, a quarter of a pixel toward its higher neighbour.

    In pixels of the map, whose first is centred on 1/2.
    """
    n, points, rows, columns = heat.shape
    place = heat.flatten(2).argmax(dim=2)
    x, y = place % columns, place // columns
    framed = F.pad(heat, (1, 1, 1, 1), value=-torch.inf).flatten(2)

    def at(right: int, down: int) -> Tensor:
        return framed.gather(2, ((y + 1 + down) * (columns + 2) + x + 1 + right)[..., None])[..., 0]

    def toward(high: Tensor, low: Tensor, inside: Tensor) -> Tensor:
        return torch.where(inside, torch.sign(high - low), torch.zeros_like(high)) * 0.25

    across = toward(at(1, 0), at(-1, 0), (x > 0) & (x < columns - 1))
    along = toward(at(0, 1), at(0, -1), (y > 0) & (y < rows - 1))
    return torch.stack([x + 0.5 + across, y + 0.5 + along], dim=2).reshape(n, points, 2)


def _cut(picture: NDArray[np.uint8], square: Box) -> NDArray[np.uint8]:
    """The square as 256 x 256 pixels, black where it leaves the picture."""
    scale = SIDE / square.width
    shift = np.array([[scale, 0, (0.5 - square.x0) * scale - 0.5], [0, scale, (0.5 - square.y0) * scale - 0.5]])
    return np.asarray(cv2.warpAffine(picture, shift, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8)
