"""Nine points of a face for whatever detector: a small network sees a face and says where eyes, nose and mouth are.

It is distilled from MediaPipe's face landmarker on the training clips (scripts/train_alignment.py); the network, its
training and its sizes are our own.  It looks twice: at what the box shows, then at the face as its points align it.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.arrays import Picture
from core.errors import NotFound
from core.paths import CHECKPOINTS
from face_detection.alignment import POINTS, aligned_box, aligned_boxes
from face_detection.box import Box
from face_detection.cropping import cut

WEIGHTS = CHECKPOINTS / "landmarks.safetensors"
SIDE = 96  # pixels of what the network sees
CONTEXT = 1.3  # heights of the box: the side of the square that it sees
ROUNDS = 2
FINER = 1.5  # times SIDE: a face that is larger is made smaller, by a whole number, before it is cut
PATCH = 4  # the side of the squares that become one position
WIDTHS, INSIDE = (48, 64, 96), 128  # of the stages, each but the first halving, and of the last layer but one


class Found(NamedTuple):
    """points f32 [9, 2] in pixels, in the order of alignment.POINTS; doubt f32 [9]: how far off each may be, as a share
    of the side of the square that was seen (the scale of a Laplace distribution)."""

    points: npt.NDArray[np.float32]
    doubt: npt.NDArray[np.float32]


class LandmarkNetwork(nn.Module):
    """faces [n, 3, 96, 96] RGB in [-1, 1] -> points [n, 9, 2], shares of the side, and the log of their doubt [n, 9].
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(PATCH)]
        width = 3 * PATCH**2
        for stage, out in enumerate(WIDTHS):
            for into, stride in ((width, 2 if stage else 1), (out, 1)):
                layers += [nn.Conv2d(into, out, 3, stride=stride, padding=1), nn.GroupNorm(8, out), nn.SiLU()]
            width = out
        side = SIDE // PATCH // 2 ** (len(WIDTHS) - 1)
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(width * side**2, INSIDE), nn.SiLU(), nn.Linear(INSIDE, 3 * len(POINTS))
        )

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        places, doubt = self.layers(faces).split([2 * len(POINTS), len(POINTS)], dim=1)
        return 0.5 + places.reshape(len(faces), -1, 2), doubt - 4


class Landmarks:
    """The network with its weights, on the CPU in float32: it says the same anywhere, whatever else is seen."""

    def __init__(self, path: Path = WEIGHTS) -> None:
        """BadInput if there are no weights."""
        self._network = LandmarkNetwork()
        try:
            self._network.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as problem:
            raise NotFound(
                f"{path}: the weights that align faces are missing or damaged; restore the file from the repository"
            ) from problem
        self._network.eval().requires_grad_(False)

    def find(self, frame: Picture, box: Box) -> Found:
        """The points of the face in a box as detectors give it.  frame [h, w, 3] u8 RGB."""
        square = seen_around(box)
        near = _Surroundings(frame, square)
        landmarks = self._look(near, square)
        for _ in range(ROUNDS - 1):
            square = seen_around(aligned_box(aligned_boxes(landmarks.points[None])[0]))
            landmarks = self._look(near, square)
        return landmarks

    def _look(self, near: "_Surroundings", square: Box) -> Found:
        face = torch.from_numpy(near.cut(square)).permute(2, 0, 1)[None].float() / 127.5 - 1
        places, doubt = self._network(face)
        return Found(from_square(places[0].numpy(), square), doubt[0].exp().numpy())


class _Surroundings:
    """Where a face lies in a frame, made smaller once for all looks: most of the time of a look went into that.

    Past the frame its border repeats, as in `cut`: a pixel of the smaller picture is enough of it.
    """

    def __init__(self, frame: Picture, square: Box) -> None:
        self._frame, self._factor = frame, max(1, int(square.width / (FINER * SIDE)))
        self._small: Picture | None = None
        if self._factor == 1:
            return
        factor, sides = self._factor, np.array(frame.shape[1::-1])
        low, high = np.floor(np.array(square.centre) - square.width), np.ceil(np.array(square.centre) + square.width)
        begins, ends = low <= 0, high >= sides
        low, high = (np.clip(corner, 0, sides).astype(int) for corner in (low, high))
        left_over = (high - low) % factor
        high -= np.where(ends, 0, left_over)
        if (high <= low).any():
            return
        before, after = np.where(begins, factor, 0), np.where(ends, factor + (factor - left_over) % factor, 0)
        part = frame[low[1] : high[1], low[0] : high[0]]
        if begins.any() or ends.any():
            (left, top), (right, bottom) = before.tolist(), after.tolist()
            part = np.asarray(cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8)
        size = part.shape[1] // factor, part.shape[0] // factor
        self._small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        self._origin = low - before
        self._low, self._high = np.where(begins, -np.inf, low), np.where(ends, np.inf, high)

    def cut(self, square: Box) -> Picture:
        """[SIDE, SIDE, 3] u8"""
        reach = np.hypot(square.width, square.height) / 2
        low, high = np.array(square.centre) - reach, np.array(square.centre) + reach
        if self._small is None or (low < self._low).any() or (high > self._high).any():
            return cut(self._frame, square, SIDE)
        x, y = (np.array(square.centre) - self._origin) / self._factor
        side = square.width / self._factor
        return cut(self._small, Box.centred(float(x), float(y), side, side, square.angle), SIDE)


def seen_around(box: Box) -> Box:
    """The square that the network sees of a face in this box."""
    side = CONTEXT * max(box.height, 1.0)
    return Box.centred(*box.centre, side, side, box.angle)


def from_square(places: npt.NDArray[np.float32], square: Box) -> npt.NDArray[np.float32]:
    """Shares of a square [n, 2] -> pixels of the frame."""
    x, y = (places.astype(np.float64) - 0.5).T * square.width
    angle = np.radians(square.angle)
    turned = np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y], axis=1)
    return np.asarray(turned + square.centre, np.float32)
