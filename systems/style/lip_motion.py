"""Lip motion: what the mouth and the jaw do, as a few numbers a frame, whatever the head does (our choice).

The paper fits the expression of a 3D morphable model, which needs licensed data.  Here landmarks are turned and scaled
in space until what is rigid about a face (eye corners, bridge of the nose, temples) lies where it always lies, seen
from the front; of mouth and jaw the first 16 principal components remain.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.atomic import atomic
from core.errors import Unreadable
from core.npz import UNREADABLE
from guided_diffusion.engine.checkpoint import load_strictly

# Numbers of MediaPipe's 478 points.  Each row is a pair, the face's right and left; a point on the middle is its own.
MOUTH = (
    (61, 291), (185, 409), (40, 270), (39, 269), (37, 267), (0, 0), (146, 375), (91, 321), (181, 405), (84, 314),
    (17, 17), (78, 308), (191, 415), (80, 310), (81, 311), (82, 312), (13, 13), (95, 324), (88, 318), (178, 402),
    (87, 317), (14, 14),
)  # fmt: skip
JAW = ((58, 288), (172, 397), (136, 365), (150, 379), (149, 378), (176, 400), (148, 377), (152, 152))

POINTS = tuple(sorted({point for pair in MOUTH + JAW for point in pair}))  # of which motion is made
_OTHER = dict(MOUTH + JAW) | {left: right for right, left in MOUTH + JAW}
MIRRORED = tuple(POINTS.index(_OTHER[point]) for point in POINTS)  # which point each one is in a mirror
UPPER_LIP, LOWER_LIP = POINTS.index(13), POINTS.index(14)  # the middles of the lips' inner rims
JAW_POINTS = frozenset(point for pair in JAW for point in pair)
MIRROR = np.array([-1.0, 1.0])  # (x, y) in a mirror
SHUT = 0.02  # of the distance between the eyes: lips that are less apart are closed
JAW_WEIGHT = 0.5  # of a jaw point against one of the mouth: the outline of a face is found less surely

Landmarks = NDArray[np.float32]


class MotionSpace(nn.Module):
    """Between landmarks of mouth and jaw and motion: motion 0 is the mean of the training clips, 1 a deviation.

    Landmarks are [..., p, 2], (x, y) seen from the front, y down, the origin between the eyes, their distance 1.
    """

    mean: Tensor   # [p, 2]
    basis: Tensor  # [d, p, 2] what each number adds at 1; either symmetric or its own negative in a mirror
    maps: Tensor   # [p, 2, d] from landmarks back to numbers
    signs: Tensor  # [d] 1 where a number stays in a mirror, -1 where it changes its sign

    def __init__(self, numbers: int) -> None:
        super().__init__()
        shape = (len(POINTS), 2)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("basis", torch.zeros(numbers, *shape))
        self.register_buffer("maps", torch.zeros(*shape, numbers))
        self.register_buffer("signs", torch.ones(numbers))

    @property
    def numbers(self) -> int:
        return len(self.basis)

    def motion(self, landmarks: Tensor) -> Tensor:
        """[..., p, 2] -> [..., d]"""
        motion: Tensor = torch.einsum("...pc,pcd->...d", landmarks - self.mean, self.maps)
        return motion

    def landmarks(self, motion: Tensor) -> Tensor:
        """[..., d] -> [..., p, 2]"""
        landmarks: Tensor = self.mean + torch.einsum("...d,dpc->...pc", motion, self.basis)
        return landmarks

    def opening(self, motion: Tensor) -> Tensor:
        """The gap between the lips as a share of the distance between the eyes; linear in motion.  [..., d] -> [...]"""
        return motion @ self.gap + self.mean[LOWER_LIP, 1] - self.mean[UPPER_LIP, 1]

    @property
    def gap(self) -> Tensor:
        """How far each number opens the lips [d]; its norm is the deviation of the opening."""
        return self.basis[:, LOWER_LIP, 1] - self.basis[:, UPPER_LIP, 1]

    def neutral_of(self, motion: Tensor) -> Tensor:
        """A neutral mouth of the shape of one [..., d], open as far as mouths of the training clips in the mean."""
        gap = self.gap
        return motion - (motion @ gap / (gap @ gap).clamp(min=1e-12))[..., None] * gap

    @property
    def reach(self) -> Tensor:
        """How far each number moves the points, 1 in the mean.  [d]"""
        reach: Tensor = self.basis.norm(dim=2).mean(dim=1)
        return reach / reach.mean()

    def distance(self, motion: Tensor, other: Tensor) -> Tensor:
        """How far the points are apart in the mean, in distances between the eyes.  [..., d] twice -> [...]"""
        apart: Tensor = (self.landmarks(motion) - self.landmarks(other)).norm(dim=-1)
        return apart.mean(dim=-1)

    def mirrored(self, motion: Tensor) -> Tensor:
        """The motion of the same face in a mirror."""
        return motion * self.signs

    @classmethod
    def fitted(cls, landmarks: NDArray[np.float32], weights: NDArray[np.float64], numbers: int) -> "MotionSpace":
        """The principal components of landmarks [n, p, 2], each frame counting by its weight [n].

        Fitted on each frame and its mirror image, so that every component is symmetric or its own negative there.
        ValueError if there are fewer frames than numbers.
        """
        if len(landmarks) < numbers:
            raise ValueError(f"{len(landmarks)} frames are too few for {numbers} numbers")
        counts = np.array([JAW_WEIGHT if point in JAW_POINTS else 1.0 for point in POINTS])[:, None]
        both = np.concatenate([landmarks, landmarks[:, MIRRORED] * MIRROR]).astype(np.float64)
        shares = np.tile(weights, 2) / (2 * weights.sum())
        mean = np.tensordot(shares, both, 1)
        centred = ((both - mean) * counts).reshape(len(both), -1)
        variances, vectors = np.linalg.eigh(centred.T @ (centred * shares[:, None]))
        main = np.argsort(variances)[::-1][:numbers]
        axes = vectors[:, main].T.reshape(numbers, len(POINTS), 2)     # orthonormal, in counted landmarks
        deviation = np.sqrt(np.maximum(variances[main], 1e-12))[:, None, None]
        space = cls(numbers)
        space.mean.copy_(torch.from_numpy(mean))
        space.basis.copy_(torch.from_numpy(axes * deviation / counts))
        space.maps.copy_(torch.from_numpy(np.moveaxis(axes / deviation * counts, 0, -1)))
        in_mirror = (axes[:, MIRRORED] * MIRROR * axes).sum(axis=(1, 2))
        space.signs.copy_(torch.from_numpy(np.sign(in_mirror)))
        return space

    def save(self, path: Path) -> None:
        """As .npz, whole or not at all."""
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **{name: value.numpy() for name, value in self.state_dict().items()})

    @classmethod
    def load(cls, path: Path, numbers: int) -> "MotionSpace":
        """What `save` wrote.  Raises BadInput if it is not that, or has another number of numbers."""
        remedy = "make it with scripts/fit_motion.py, or for a pack with scripts/pack_training.py"
        try:
            with np.load(path, allow_pickle=False) as file:
                buffers = {name: torch.from_numpy(file[name]) for name in file.files}
        except UNREADABLE as problem:
            raise Unreadable(f"{path}: not a space of lip motion ({problem}); {remedy}") from problem
        space = cls(numbers)
        load_strictly(space, buffers, str(path))
        return space
