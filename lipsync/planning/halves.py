"""Each shot in two halves: what is shown to the network of a person comes from the half that it does not make."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from face_detection import FaceTrack

T = TypeVar("T")
Numbers = NDArray[np.int64]

EDGE = 1 / 13  # of a half, at both ends, from which nothing is taken: what is near in time tells what to copy


@dataclass(frozen=True)
class Half:
    """One half of a shot, by numbers of source frames, rising.

    seeing  those of the half that have a face; fit: of them, those on which a mouth can be made well
    shown   those of the other half that they may see: the fit ones, if there are any; none in a shot of one frame
    """

    seeing: Numbers
    fit: Numbers
    shown: Numbers

    @property
    def alone(self) -> bool:
        """Whether this is a shot of one frame, such as a picture."""
        return not len(self.shown)


def halves(track: FaceTrack) -> Iterator[Half]:
    """Those of each shot, in order; a shot of one frame is a half of its own."""
    present = np.flatnonzero(track.present)
    fit = np.ones(len(track), np.bool_) if track.unfit is None else track.unfit == 0
    for start, stop in pairwise([*track.shots, len(track.present)]):
        shot = present[(present >= start) & (present < stop)]
        if len(shot) >= 2:
            first, second = shot[: len(shot) // 2], shot[len(shot) // 2 :]
            for seeing, other in ((first, second), (second, first)):
                yield Half(seeing, seeing[fit[seeing]], other[fit[other]] if fit[other].any() else other)
        elif len(shot):
            yield Half(shot, shot[fit[shot]], shot[:0])


def evenly_over(frames: Numbers, count: int) -> Numbers:
    """At most so many of the frames of a half, evenly over it, none of them near its ends."""
    places = np.linspace(EDGE, 1 - EDGE, count) * (len(frames) - 1)
    return np.unique(frames[places.round().astype(int)])


class PerHalf(Generic[T]):
    """What was made of a half, once for all of its frames; memory does not grow with the video."""

    def __init__(self, held: int) -> None:
        """held: how many halves are remembered, those asked for last."""
        self._most = held
        self._held: OrderedDict[tuple[int, int], T] = OrderedDict()
        self._halves: dict[int, tuple[FaceTrack, list[Half]]] = {}

    def of(self, track: FaceTrack, source: int, make: Callable[[Half], T]) -> T | None:
        """What is made of the half that a source frame is seen in; None where there is no face."""
        if id(track) not in self._halves:
            self._halves[id(track)] = track, list(halves(track))
        known = self._halves[id(track)][1]
        place = bisect_right(known, source, key=lambda half: int(half.seeing[0])) - 1
        if place < 0 or source > known[place].seeing[-1]:
            return None
        key = id(track), place
        if key not in self._held:
            self._held[key] = make(known[place])
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]
