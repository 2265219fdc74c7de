"""Which frames a new mouth takes its detail from: those of the other half of its shot, read when they are needed."""

from collections.abc import Callable, Iterable

import numpy as np

from core.arrays import Picture
from face_detection import FaceTrack, MouthDetail, cut
from lipsync.planning.halves import Half, PerHalf, evenly_over

COUNT = 24   # frames of a half
HELD = 4     # halves whose mouths are in memory, about 10 MB each
LARGEST = 3  # times the network's size, at the most, at which they are kept


class MouthExemplars:
    """Finds what `MouthDetail` a face in a source frame may use; memory does not grow with the video."""

    def __init__(self, pick: Callable[[list[int]], Iterable[Picture]], size: int) -> None:
        """pick: rising source frames -> their pictures, u8 [h, w, 3]; size: of the network's faces."""
        self._pick, self._size = pick, size
        self._of_half: PerHalf[MouthDetail | None] = PerHalf(HELD)

    def of(self, track: FaceTrack, source: int) -> MouthDetail | None:
        """None where the shot has no second frame with a face."""
        return self._of_half.of(track, source, lambda half: self._read(track, half))

    def _read(self, track: FaceTrack, half: Half) -> MouthDetail | None:
        if half.alone:
            return None
        frames = evenly_over(half.shown, COUNT).tolist()
        boxes = [box for k in frames if (box := track.box(k)) is not None]
        factor = int(np.clip(round(float(np.median([box.width for box in boxes])) / self._size), 1, LARGEST))
        pictures = zip(self._pick(frames), boxes, strict=True)
        return MouthDetail(np.stack([cut(picture, box, factor * self._size) for picture, box in pictures]), self._size)
