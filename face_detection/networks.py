"""The back ends that need torch: RetinaFace, S3FD and BlazeFace, with the networks of the face-alignment package.

Only the networks are that package's.  Reading the boxes off their outputs is done here, for a whole batch at once: the
package does it image by image in Python, changes a global switch of cuDNN, and shows BlazeFace the middle square only.
The package takes seconds to import (numba, scikit-image), so of it these networks' files alone are.
"""

import importlib
import importlib.util
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from core.arrays import Picture
from core.errors import Unreadable
from face_detection.box import Box, Detection
from face_detection.detector import BoxCalibration, best_first

RETINAFACE_CALIBRATION = BoxCalibration(-0.001, -0.030, 1.081)
S3FD_CALIBRATION = RETINAFACE_CALIBRATION
"""S3FD and RetinaFace were trained on the same boxes (WIDER FACE); not measured here, its weights are not at hand."""
BLAZEFACE_CALIBRATION = BoxCalibration(0.003, -0.152, 1.329)

SURE = 0.5
OVERLAP = 0.4
CHUNK = 8
"""Pictures in one forward pass on a CPU: keeps S3FD at 640 pixels near 1 GB.  Elsewhere it is as many as are handed."""
MEAN_BGR = (104.0, 117.0, 123.0)
VARIANCES = (0.1, 0.2)

Heads = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""x [b, 3, h, w] -> offsets [b, n, 4], face probability [b, n], priors [n, 4] as (cx, cy, width, height) in pixels."""

Network = TypeVar("Network", bound=torch.nn.Module)


class AnchorDetector:
    """A single-shot detector: each prior box is a face or not, and where it lies relative to the prior."""

    def __init__(self, name: str, heads: Heads, calibration: BoxCalibration, device: str) -> None:
        self.name = name
        self._heads = heads
        self._calibration = calibration
        self._device = device

    @torch.inference_mode()
    def detect(self, frames: Sequence[Picture]) -> list[list[Detection]]:
        """See `Detector`.  Scores lie in [0.5, 1]."""
        return [detections for chunk in _chunks(frames, self._device) for detections in self._detect_chunk(chunk)]

    def _detect_chunk(self, frames: Sequence[Picture]) -> list[list[Detection]]:
        """In one pass; what may be faces leaves the device at once, and is sorted out here."""
        x = torch.from_numpy(np.stack(frames)).to(self._device).permute(0, 3, 1, 2).flip(1).float()  # BGR, 0..255
        offsets, scores, priors = self._heads(x - x.new_tensor(MEAN_BGR).view(1, 3, 1, 1))
        which, prior = (scores > SURE).nonzero(as_tuple=True)
        corners = _decode(offsets[which, prior], priors[prior])
        rows = torch.cat([which[:, None].float(), scores[which, prior, None].float(), corners.float()], dim=1).cpu()
        own = [rows[rows[:, 0] == number] for number in range(len(frames))]
        return [_detections(candidates[:, 2:], candidates[:, 1], self._calibration) for candidates in own]


class BlazeFaceDetector:
    """BlazeFace, front camera (Bazarevsky et al. 2019): very fast, for faces of a fifth of the picture or more."""

    name = "blazeface"
    side = 128

    def __init__(self, weights: Path, device: str) -> None:
        self._device = device
        self._network = _loaded(_published("blazeface", "net_blazeface").BlazeFace(), weights, device)
        self._network.load_anchors_from_npy(_blazeface_anchors(), device)
        self._network.min_score_thresh = SURE

    def detect(self, frames: Sequence[Picture]) -> list[list[Detection]]:
        """See `Detector`.  The picture is padded to a square and shrunk to 128 pixels.  Scores lie in [0.5, 1]."""
        detections = []
        for chunk in _chunks(frames, self._device):
            long = max(chunk[0].shape[:2])
            squares = np.stack([self._square(frame, long) for frame in chunk])
            for rows in self._network.predict_on_batch(squares):  # ymin, xmin, ymax, xmax in 0..1, 6 points, score
                corners = rows[:, [1, 0, 3, 2]] * long
                detections.append(_detections(corners, rows[:, 16], BLAZEFACE_CALIBRATION))
        return detections

    def _square(self, frame: Picture, long: int) -> Picture:
        height, width = frame.shape[:2]
        square = cv2.copyMakeBorder(frame, 0, long - height, 0, long - width, cv2.BORDER_CONSTANT)
        return cv2.resize(square, (self.side, self.side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def retinaface(weights: Path, device: str) -> AnchorDetector:
    """RetinaFace, MobileNet 0.25 (Deng et al. 2020)."""
    network = _loaded(_published("retinaface", "net_retinaface").RetinaFace(), weights, device)

    def heads(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        offsets, probabilities, _ = network(x)
        return offsets, probabilities[..., 1], _retinaface_priors(x.shape[2], x.shape[3], device)

    return AnchorDetector("retinaface", heads, RETINAFACE_CALIBRATION, device)


def s3fd(weights: Path, device: str) -> AnchorDetector:
    """S3FD (Zhang et al. 2017), the detector of the original release."""
    network = _loaded(_published("sfd", "net_s3fd").s3fd(), weights, device)

    def heads(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = network(x)
        scores, offsets = levels[0::2], levels[1::2]  # each [b, 2, h, w] and [b, 4, h, w], strides 4, 8 ... 128
        sizes = tuple((level.shape[2], level.shape[3]) for level in scores)
        probabilities = [level.softmax(dim=1)[:, 1].flatten(1) for level in scores]
        offsets = [level.flatten(2).transpose(1, 2) for level in offsets]
        return torch.cat(offsets, dim=1), torch.cat(probabilities, dim=1), _s3fd_priors(sizes, device)

    return AnchorDetector("s3fd", heads, S3FD_CALIBRATION, device)


def _published(folder: str, module: str) -> Any:
    """A network's file of face_alignment.detection, without all that the package imports besides."""
    name = f"lipsync_face_alignment_{folder}"
    if name not in sys.modules:
        package = importlib.util.find_spec("face_alignment")
        if package is None or package.submodule_search_locations is None:
            raise ModuleNotFoundError("No module named 'face_alignment'", name="face_alignment")
        bare = ModuleType(name)
        bare.__path__ = [str(Path(place) / "detection" / folder) for place in package.submodule_search_locations]
        sys.modules[name] = bare
    return importlib.import_module(f"{name}.{module}")


def _loaded(network: Network, weights: Path, device: str) -> Network:
    """The network with these weights, which are tensors only: nothing in the file is ever run."""
    try:
        state = torch.load(weights, map_location=device, weights_only=True)
        network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as error:
        raise Unreadable(
            f"{weights}: not the weights that this file name stands for; delete it and fetch it again"
        ) from error
    return network.to(device).eval()


def _chunks(frames: Sequence[Picture], device: str) -> Iterator[Sequence[Picture]]:
    size = CHUNK if device == "cpu" else max(len(frames), 1)
    return (frames[start : start + size] for start in range(0, len(frames), size))


def _decode(offsets: Tensor, priors: Tensor) -> Tensor:
    """Offsets [n, 4] relative to priors [n, 4] (cx, cy, w, h) -> boxes [n, 4] XYXY (SSD, Liu et al. 2016)."""
    centre = priors[:, :2] + offsets[..., :2] * VARIANCES[0] * priors[:, 2:]
    size = priors[:, 2:] * torch.exp(offsets[..., 2:] * VARIANCES[1])
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def _detections(corners: Tensor, scores: Tensor, calibration: BoxCalibration) -> list[Detection]:
    """corners [n, 4] XYXY, scores [n] -> the faces that stand out of their overlaps, framed."""
    corners, scores = corners.float(), scores.float()
    keep = nms(corners, scores, OVERLAP)
    detections = [
        Detection(calibration.apply(Box(x0, y0, x1, y1)), score)
        for (x0, y0, x1, y1), score in zip(corners[keep].tolist(), scores[keep].tolist(), strict=True)
        if x1 > x0 and y1 > y0
    ]
    return best_first(detections)


@lru_cache(maxsize=4)
def _retinaface_priors(height: int, width: int, device: str) -> Tensor:
    levels = {8: [16, 32], 16: [64, 128], 32: [256, 512]}  # stride: sides of the priors at each position
    grids = [_grid(-(-height // step), -(-width // step), step, sides) for step, sides in levels.items()]
    return torch.cat(grids).to(device)


@lru_cache(maxsize=4)
def _s3fd_priors(sizes: tuple[tuple[int, int], ...], device: str) -> Tensor:
    return torch.cat([_grid(rows, columns, 4 << i, [16 << i]) for i, (rows, columns) in enumerate(sizes)]).to(device)


def _grid(rows: int, columns: int, step: int, sides: Sequence[int]) -> Tensor:
    """[rows * columns * sides, 4]: square priors in the middle of each cell, row by row."""
    cells = [
        ((column + 0.5) * step, (row + 0.5) * step, side, side)
        for row, column, side in product(range(rows), range(columns), sides)
    ]
    return torch.tensor(cells, dtype=torch.float32).view(-1, 4)


def _blazeface_anchors() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """f32 [896, 4], cx cy w h in 0..1: two at each cell of 16 x 16, six at each of 8 x 8 (MediaPipe)."""
    anchors = torch.cat([_grid(16, 16, 8, [128] * 2), _grid(8, 8, 16, [128] * 6)]) / 128
    return anchors.numpy()
