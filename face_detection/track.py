"""One face through one clip."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from core.errors import BadValue
from core.runs import runs
from face_detection.box import Box
from face_detection.smoothing import local_line, running_median

MAX_GAP = 12
"""Frames without a face that are bridged by default: about half a second, a hand before the face, a turned head."""


@dataclass(frozen=True)
class FaceTrack:
    """One face through one clip of n frames; methods return a new track.

    boxes: f32 [n, 4] XYXY pixels, four NaN in a frame that has no usable box.
    seen: bool [n], True where the detector saw the face (or saw it just before and after, and skipped the frame because
        the face hardly moved); a box that is not seen was filled in.
    shots: the first frame of every shot, rising from 0.
    angles: f32 [n], degrees by which each box is turned clockwise (`Box.angle`); None: none is.
    unfit: u8 [n], why no mouth can be made well in a frame (`fitness.Reason`), 0 where one can; None: not assessed.
    alike: f32 [n, k], how each frame shows the face, its mouth apart (`likeness.likeness`): rows of two frames are as
        far apart as these are unlike, NaN where that is unknown; None: it is in all.
    """

    boxes: npt.NDArray[np.float32]
    seen: npt.NDArray[np.bool_]
    shots: tuple[int, ...] = (0,)
    angles: npt.NDArray[np.float32] | None = None
    unfit: npt.NDArray[np.uint8] | None = None
    alike: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.seen)
        if self.boxes.shape != (n, 4) or self.boxes.dtype != np.float32 or self.seen.dtype != np.bool_:
            raise ValueError(f"boxes are f32 [n, 4] and seen is bool [n], not {self.boxes.shape}, {self.seen.shape}")
        if list(self.shots) != sorted({0, *self.shots}) or self.shots[-1] >= max(n, 1):
            raise ValueError(f"the shots of {n} frames start at 0 and rise below {n}, unlike {self.shots}")
        if self.angles is not None and (self.angles.shape != (n,) or not np.isfinite(self.angles).all()):
            raise ValueError(f"angles are finite numbers of the {n} frames, not {self.angles.shape}")
        if self.unfit is not None and (self.unfit.shape != (n,) or self.unfit.dtype != np.uint8):
            raise ValueError(f"unfit is u8 of the {n} frames, not {self.unfit.dtype} {self.unfit.shape}")
        holes = np.isnan(self.boxes)
        if (holes.any(axis=1) != holes.all(axis=1)).any() or (holes[:, 0] & self.seen).any():
            raise ValueError("a box is four numbers, or four NaN where no face was seen")
        sizes = self.boxes[:, 2:] - self.boxes[:, :2]
        if not (sizes[self.present] > 0).all() or np.isinf(self.boxes).any():
            raise ValueError("the boxes of a track are XYXY, finite and never empty")

    @classmethod
    def fixed(cls, frames: int, box: Box) -> "FaceTrack":
        """The same box in every frame, as for a video that is a face crop already (see `voxceleb2_box`)."""
        return cls(np.tile(box.array(), (frames, 1)), np.ones(frames, np.bool_))

    @classmethod
    def nobody(cls, frames: int, shots: tuple[int, ...] = (0,)) -> "FaceTrack":
        """The track of no one."""
        return cls(np.full((frames, 4), np.nan, np.float32), np.zeros(frames, np.bool_), shots)

    def __len__(self) -> int:
        return len(self.seen)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """bool [n]: the frames that have a usable box."""
        return np.asarray(~np.isnan(self.boxes[:, 0]), np.bool_)

    def box(self, frame: int) -> Box | None:
        """The face in this frame, if there is one."""
        row = self.boxes[frame]
        angle = 0.0 if self.angles is None else float(self.angles[frame])
        x0, y0, x1, y1 = (float(value) for value in row)
        return None if np.isnan(x0) else Box(x0, y0, x1, y1, angle)

    def extended(self, frames: int) -> "FaceTrack":
        """The same face in a video of so many frames: there is none in those beyond its own."""
        more = FaceTrack.nobody(frames - len(self))
        boxes, seen = np.concatenate([self.boxes, more.boxes]), np.concatenate([self.seen, more.seen])
        angles = None if self.angles is None else np.pad(self.angles, (0, len(more)))
        unfit = None if self.unfit is None else np.pad(self.unfit, (0, len(more)))
        alike = None if self.alike is None else np.pad(self.alike, ((0, len(more)), (0, 0)), constant_values=np.nan)
        return replace(self, boxes=boxes, seen=seen, angles=angles, unfit=unfit, alike=alike)

    def only(self, start: int, stop: int) -> "FaceTrack":
        """The same face in frames start..stop-1, and none in the others."""
        inside = np.zeros(len(self), np.bool_)
        inside[start:stop] = True
        boxes = np.where(inside[:, None], self.boxes, np.float32(np.nan))
        return replace(self, boxes=boxes, seen=self.seen & inside)

    def missing(self) -> list[tuple[int, int]]:
        """The ranges of frames without a face, both ends included."""
        return [(start, stop - 1) for start, stop in runs(~self.present)]

    def filled(self, max_gap: int = MAX_GAP) -> "FaceTrack":
        """Gaps of at most max_gap frames are bridged: between two boxes by a line, at the ends of a shot by holding on.

        A longer gap stays as it is, whole: half-bridging it would show a face where there is none.  A shot without any
        box stays without.
        """
        boxes = self.boxes.copy()
        for start, stop in self._spans():
            present = self.present[start:stop]
            indices = np.flatnonzero(present)
            for low, high in runs(~present) if indices.size else ():
                if high - low <= max_gap:
                    frames = np.arange(low, high)
                    for side in range(4):
                        boxes[start + low : start + high, side] = np.interp(
                            frames, indices, self.boxes[start + indices, side]
                        )
        return replace(self, boxes=boxes)

    def smoothed(self, centre: float = 2.0, size: float = 4.0) -> "FaceTrack":
        """Without the tremble of the detector: a running median of 5, then a Gaussian-weighted line fit.

        centre, size: the Gaussian's deviation in frames; the size of a face changes more slowly than its place.  Both
        filters look as far ahead as back and a line passes unchanged, so a moving face does not lag, not even at the
        first and last frame.  Nothing is mixed across a cut or a gap.
        """
        boxes = self.boxes.copy()
        for start, stop in self._spans():
            for low, high in runs(self.present[start:stop]):
                run = slice(start + low, start + high)
                boxes[run] = _smooth(self.boxes[run].astype(np.float64), centre, size)
        return replace(self, boxes=boxes)

    def padded(self, top: float, bottom: float, left: float, right: float) -> "FaceTrack":
        """Every box larger by so many pixels on each side (smaller where negative).  BadInput if one would vanish."""
        boxes = self.boxes + np.array([-left, -top, right, bottom], np.float32)
        present = boxes[self.present]
        if (present[:, 2:] <= present[:, :2]).any():
            raise BadValue(f"--pads {top:g},{bottom:g},{left:g},{right:g}: no face would be left; take off less")
        return replace(self, boxes=boxes)

    def _spans(self) -> Iterator[tuple[int, int]]:
        """The shots as half-open ranges."""
        return zip(self.shots, (*self.shots[1:], len(self)), strict=True)


def _smooth(boxes: npt.NDArray[np.float64], centre: float, size: float) -> npt.NDArray[np.float64]:
    middles = running_median((boxes[:, :2] + boxes[:, 2:]) / 2)
    sizes = running_median(np.log(boxes[:, 2:] - boxes[:, :2]))  # logarithms: growing and shrinking are alike
    middles = local_line(middles, centre)
    halves = np.exp(local_line(sizes, size)) / 2
    return np.concatenate([middles - halves, middles + halves], axis=1)
