"""What a detector saw in a stretch of frames, before anybody says which sightings are one person."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from face_detection.appearance import LENGTH
from face_detection.shots import FLASH


@dataclass(frozen=True)
class Sightings:
    """The faces found in the n frames from `start` on.  Arrays alone, about 100 bytes a sighting.

    searched  bool [n]          the frames that were looked at
    changes   f32 [n, FLASH+1]  how much the picture changed from 1, 2, ... frames before (see shots.py)
    frames    i32 [m]           the frame of each sighting, rising, counted from the start of the video
    boxes     f32 [m, 4]        XYXY in pixels of the frame
    scores    f32 [m]           how sure the detector is
    looks     u8 [m, 60]        what the face looks like (see appearance.py)
    """

    start: int
    searched: npt.NDArray[np.bool_]
    changes: npt.NDArray[np.float32]
    frames: npt.NDArray[np.int32]
    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    looks: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        n, m = len(self.searched), len(self.frames)
        shapes = (self.changes.shape, self.boxes.shape, self.scores.shape, self.looks.shape)
        if self.start < 0 or shapes != ((n, FLASH + 1), (m, 4), (m,), (m, LENGTH)):
            raise ValueError(f"{n} frames with {m} sightings do not go with arrays of {shapes}")
        inside = self.frames - self.start
        if m and not (inside.min() >= 0 and inside.max() < n and (np.diff(inside) >= 0).all()):
            raise ValueError("the frames of sightings rise and lie within the stretch")
        if not (self.searched[inside].all() and (self.boxes[:, 2:] > self.boxes[:, :2]).all()):
            raise ValueError("sightings are in frames that were searched, and their boxes are XYXY and never empty")

    @property
    def stop(self) -> int:
        """The frame after the last."""
        return self.start + len(self.searched)

    @classmethod
    def joined(cls, parts: Sequence["Sightings"]) -> "Sightings":
        """One stretch of several that follow each other."""
        if any(part.stop != following.start for part, following in pairwise(parts)):
            raise ValueError(f"stretches {[(part.start, part.stop) for part in parts]} do not follow each other")
        names = ("searched", "changes", "frames", "boxes", "scores", "looks")
        return cls(parts[0].start, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def rows(self, frame: int) -> slice:
        """Which sightings are of this frame."""
        first, last = np.searchsorted(self.frames, [frame, frame + 1])
        return slice(int(first), int(last))
