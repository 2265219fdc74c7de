"""Which frames a new mouth takes its detail from: those of the other half of its shot, read when they are needed."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from core.arrays import Picture
from face_detection import FaceTrack, MouthDetail, cut
from lipsync.planning.references import evenly_over, halves

Numbers = NDArray[np.int64]

COUNT = 24   # frames of a half
HELD = 4     # halves whose mouths are in memory, about 10 MB each
LARGEST = 3  # times the network's size, at the most, at which they are kept


class MouthExemplars:
    """Finds what `MouthDetail` a face in a source frame may use; memory does not grow with the video."""

    def __init__(self, pick: Callable[[list[int]], Iterable[Picture]], size: int) -> None:
        """pick: rising source frames -> their pictures, u8 [h, w, 3]; size: of the network's faces."""
        self._pick, self._size = pick, size
        self._held: OrderedDict[tuple[int, int], MouthDetail | None] = OrderedDict()
        self._halves: dict[int, list[tuple[Numbers, Numbers]]] = {}

    def of(self, track: FaceTrack, source: int) -> MouthDetail | None:
        """None where the shot has no second frame with a face."""
        if id(track) not in self._halves:
            self._halves[id(track)] = list(halves(track))
        halves_of_track = self._halves[id(track)]
        place = bisect_right(halves_of_track, source, key=lambda half: int(half[0][0])) - 1
        if place < 0 or source > halves_of_track[place][0][-1]:
            return None
        return self._detail(track, int(halves_of_track[place][0][0]), halves_of_track[place][1])

    def _detail(self, track: FaceTrack, first: int, seen: Numbers) -> MouthDetail | None:
        key = id(track), first
        if key not in self._held:
            self._held[key] = self._read(track, seen)
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]

    def _read(self, track: FaceTrack, seen: Numbers) -> MouthDetail | None:
        frames = evenly_over(seen, COUNT).tolist()
        boxes = [box for k in frames if (box := track.box(k)) is not None]
        factor = int(np.clip(round(float(np.median([box.width for box in boxes])) / self._size), 1, LARGEST))
        pictures = zip(self._pick(frames), boxes, strict=True)
        return MouthDetail(np.stack([cut(picture, box, factor * self._size) for picture, box in pictures]), self._size)
