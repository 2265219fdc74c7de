"""Boxes corrected by what is in them: a small network sees a face as it was cut, and says how VoxCeleb2 frames it.

A detector knows where a face is; how much of it its box holds differs from face to face, and the mouth is then painted
too high or too low.  The network, its training (scripts/train_framing.py) and its sizes are our own.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.arrays import Picture
from core.errors import NotFound
from core.paths import CHECKPOINTS
from face_detection.box import Box, Detection
from face_detection.cropping import cut
from face_detection.detector import Detector

WEIGHTS = CHECKPOINTS / "framing.safetensors"
SIDE = 64  # pixels of what the network sees
CONTEXT = 1.25  # of the box, so that a face that it cuts off is seen
ROUNDS = 2  # corrections, each of what the one before left
FARTHEST, MOST = 0.2, 0.35  # how far all of them may move a box, in its sizes, and the log of how much resize it
WIDTHS, INSIDE = (24, 48, 72, 96), 96  # of the layers, each halving the picture, and of the last but one


class FramingNetwork(nn.Module):
    """faces [n, 3, 64, 64] RGB in [-1, 1], each CONTEXT times a box -> [n, 3]: how to correct the box.

    By how much of its width and height its centre is off, and the log of the factor that its sides are off by.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for out in WIDTHS:
            layers += [nn.Conv2d(width, out, 3, stride=2, padding=1), nn.GroupNorm(8, out), nn.SiLU()]
            layers += [nn.Conv2d(out, out, 3, padding=1, groups=8), nn.GroupNorm(8, out), nn.SiLU()]
            width = out
        side = SIDE // 2 ** len(WIDTHS)
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(width * side**2, INSIDE), nn.SiLU(), nn.Linear(INSIDE, 3)
        )

    def forward(self, faces: Tensor) -> Tensor:
        correction: Tensor = self.layers(faces)
        return correction


def load_framing(path: Path = WEIGHTS) -> FramingNetwork:
    """The network with its weights.  BadInput if there are none."""
    network = FramingNetwork()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as problem:
        raise NotFound(
            f"{path}: the weights that correct boxes are missing or damaged; restore the file from the repository"
        ) from problem
    return network.eval().requires_grad_(False)


class BoxRefiner:
    """A detector whose boxes are corrected; several threads may use it, one after another."""

    def __init__(self, detector: Detector, network: FramingNetwork) -> None:
        self.name = detector.name
        self._detector, self._network = detector, network
        self._turn = threading.Lock()  # OpenCV's detectors are not for two threads at once

    def detect(self, frames: Sequence[Picture]) -> list[list[Detection]]:
        """See `Detector`."""
        with self._turn:
            coarse = self._detector.detect(frames)
            return [
                [Detection(self._corrected(frame, one.box), one.score) for one in detections]
                for frame, detections in zip(frames, coarse, strict=True)
            ]

    def _corrected(self, frame: Picture, box: Box) -> Box:
        """Each face by itself, in float32 and to the hundredth of a pixel: the same whatever else is seen."""
        change = np.zeros(3)
        for _ in range(ROUNDS):
            face = cut(frame, changed(box, change, CONTEXT), SIDE)
            inputs = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 127.5 - 1
            step = self._network(inputs)[0].double().numpy()
            step[:2] *= np.exp(change[2])  # of the sizes that the box has by now
            change += step
            change = np.clip(change, [-FARTHEST, -FARTHEST, -MOST], [FARTHEST, FARTHEST, MOST])
        return Box(*(round(corner, 2) for corner in changed(box, change).corners))


def changed(box: Box, change: npt.NDArray[np.float64], context: float = 1.0) -> Box:
    """The box moved by (x, y) of its sizes and grown by e to the third number, and context times as large."""
    (x, y), factor = box.centre, float(np.exp(change[2])) * context
    return Box.centred(
        x + float(change[0]) * box.width, y + float(change[1]) * box.height, factor * box.width, factor * box.height
    )
