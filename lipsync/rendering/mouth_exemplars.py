"""Which frames a new mouth takes its detail from: those of the other half of its shot, read when they are needed."""

from collections import OrderedDict
from pathlib import Path

import numpy as np

from face_detection import FaceTrack, MouthDetail, cut
from lipsync.planning.references import EDGE, halves
from lipsync.planning.turns import SpeakerTurn
from video import pick_frames

COUNT = 24   # frames of a half
HELD = 4     # halves whose mouths are in memory, about 10 MB each
LARGEST = 3  # times the network's size, at the most, at which they are kept


class MouthExemplars:
    """Finds what `MouthDetail` a source frame of a speaker turn may use; memory does not grow with the video."""

    def __init__(self, video: Path, size: int) -> None:
        self._video, self._size = video, size
        self._held: OrderedDict[tuple[int, int], MouthDetail | None] = OrderedDict()
        self._ranges: dict[int, list[tuple[int, int, np.ndarray]]] = {}

    def of(self, turn: SpeakerTurn, source: int) -> MouthDetail | None:
        """None where the shot has no second frame with a face."""
        track = turn.track
        if id(track) not in self._ranges:
            self._ranges[id(track)] = [(int(s[0]), int(s[-1]), other) for s, other in halves(track)]
        for first, last, seen in self._ranges[id(track)]:
            if first <= source <= last:
                return self._detail(track, first, seen)
        return None

    def _detail(self, track: FaceTrack, first: int, seen: np.ndarray) -> MouthDetail | None:
        key = id(track), first
        if key not in self._held:
            self._held[key] = self._read(track, seen)
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]

    def _read(self, track: FaceTrack, seen: np.ndarray) -> MouthDetail | None:
        places = np.linspace(EDGE, 1 - EDGE, COUNT) * (len(seen) - 1)
        frames = np.unique(seen[places.round().astype(int)]).tolist()
        boxes = [box for k in frames if (box := track.box(k)) is not None]
        factor = int(np.clip(round(float(np.median([box.width for box in boxes])) / self._size), 1, LARGEST))
        pictures = zip(pick_frames(self._video, frames), boxes, strict=True)
        return MouthDetail(np.stack([cut(picture, box, factor * self._size) for picture, box in pictures]), self._size)
