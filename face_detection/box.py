"""A rectangle in a picture, and what a detector says of one."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle XYXY, half-open, in pixels: pixel column c covers [c, c + 1).  May leave the picture; never empty.

    angle: degrees by which it is turned about its centre, clockwise as seen; x0 to y1 are its sides before that.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (*self.corners, self.angle)):
            raise ValueError(f"a box needs four finite corners and a finite angle, not {self.corners}, {self.angle}")
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError(f"a box is XYXY and never empty, unlike {self.corners}")

    @classmethod
    def centred(cls, x: float, y: float, width: float, height: float, angle: float = 0.0) -> Self:
        """The box of this size whose middle is (x, y)."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2, angle)

    @property
    def corners(self) -> tuple[float, float, float, float]:
        return self.x0, self.y0, self.x1, self.y1

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return self.width * self.height

    def scaled(self, x: float, y: float) -> "Box":
        """The same box in a picture whose axes were scaled by x and y; a turned box keeps its angle."""
        return Box(self.x0 * x, self.y0 * y, self.x1 * x, self.y1 * y, self.angle)

    def grown(self, factor: float) -> "Box":
        """The box `factor` times as wide and high around the same centre."""
        return Box.centred(*self.centre, self.width * factor, self.height * factor, self.angle)

    def iou(self, other: "Box") -> float:
        """Intersection over union of the sides as they are before any turn, 0 (apart) to 1 (the same)."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        shared = max(width, 0.0) * max(height, 0.0)
        return shared / (self.area + other.area - shared)

    @property
    def outline(self) -> npt.NDArray[np.float64]:
        """f64 [4, 2]: the corners as they lie in the picture, around the box in order."""
        angle = math.radians(self.angle)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        halves = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [self.width / 2, self.height / 2]
        return np.asarray(halves @ turn.T + self.centre)

    def array(self) -> npt.NDArray[np.float32]:
        """f32 [4], XYXY."""
        return np.array(self.corners, np.float32)


@dataclass(frozen=True, slots=True)
class Detection:
    """A face that a detector found: where, and how sure it is.  Scores compare within one detector only."""

    box: Box
    score: float

    def scaled(self, x: float, y: float) -> "Detection":
        """The same face in a picture whose axes were scaled by x and y."""
        return Detection(self.box.scaled(x, y), self.score)


def voxceleb2_box(height: int, width: int) -> Box:
    """The face in a VoxCeleb2 video, which is a face crop already: the fixed margins of the original release.

    Rows 0..H-int(H*2.36/8), columns int(W*1.8/8)..W-int(W*1.8/8): forehead to chin, ear to ear.
    Every detector's box is calibrated to this one, so that training and generation see the same framing.
    """
    side = int(width * 1.8 / 8)
    return Box(side, 0, width - side, height - int(height * 2.36 / 8))
