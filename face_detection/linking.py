"""Which detections are the same face, and which face is meant.  Linking knows nothing of choosing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from face_detection.box import Box, Detection

SAME = 0.3
"""The least overlap (IoU) of one face in two sightings that follow each other."""
ALIKE = 1.6
"""How many times taller a face may come back after it was away and still count as the same person's."""


@dataclass(frozen=True)
class Chain:
    """One face through (part of) one shot: the frames it was sighted in, rising, and what was sighted there."""

    frames: tuple[int, ...]
    sightings: tuple[Detection, ...]

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last frame."""
        return self.frames[0], self.frames[-1]

    @property
    def height(self) -> float:
        """The median height of the face, in pixels."""
        return float(np.median([sighting.box.height for sighting in self.sightings]))

    def weight(self, stride: int) -> float:
        """How much of the shot this face fills: its area, times how sure it is, summed over the frames it is there.

        A sighting counts for the frames up to the next one, but for no more than `stride`, since at most so many were
        skipped.
        """
        steps = np.minimum(np.diff([*self.frames, self.frames[-1] + 1]), stride)
        worth = [sighting.box.area * sighting.score for sighting in self.sightings]
        return float(steps @ np.array(worth))


Chooser = Callable[[Sequence[Chain], int], Chain]
"""Picks the face that is meant from the chains of one shot, given the stride; there is at least one."""


def link(sightings: Mapping[int, Sequence[Detection]]) -> list[Chain]:
    """The detections of one shot, by frame -> its faces.  Each joins the face that it overlaps most, if any."""
    open_chains: list[list[tuple[int, Detection]]] = []
    for frame in sorted(sightings):
        free = list(range(len(open_chains)))
        pairs = [
            (chain[-1][1].box.iou(detection.box), index, detection)
            for index, chain in enumerate(open_chains)
            for detection in sightings[frame]
        ]
        placed: set[int] = set()
        for overlap, index, detection in sorted(pairs, key=lambda pair: -pair[0]):
            if overlap >= SAME and index in free and id(detection) not in placed:
                open_chains[index].append((frame, detection))
                free.remove(index)
                placed.add(id(detection))
        open_chains += [[(frame, detection)] for detection in sightings[frame] if id(detection) not in placed]
    return [Chain(*zip(*chain, strict=True)) for chain in open_chains]


def lasting(chains: Sequence[Chain], searched: int) -> list[Chain]:
    """The chains without the chance alarms: sighted in at least 3 frames, or half of the frames searched if fewer."""
    return [chain for chain in chains if len(chain.frames) >= min(3, (searched + 1) // 2)]


def largest(chains: Sequence[Chain], stride: int) -> Chain:
    """The face that fills most of the shot, in size and in time."""
    return max(chains, key=lambda chain: chain.weight(stride))


def reunited(chosen: Chain, chains: Sequence[Chain], stride: int) -> list[Chain]:
    """The chosen face, and the chains that continue it after it was out of sight, in order of time.

    A face that is of like height and never in the picture at the same time is taken to be the same person's.
    """
    parts = [chosen]
    for chain in sorted(chains, key=lambda chain: -chain.weight(stride)):
        apart = all(chain.span[1] < part.span[0] or chain.span[0] > part.span[1] for part in parts)
        if apart and 1 / ALIKE < chain.height / chosen.height < ALIKE:
            parts.append(chain)
    return sorted(parts, key=lambda part: part.span)


def hardly_moves(before: Sequence[Detection], after: Sequence[Detection], least: float) -> bool:
    """Whether every face that counts in either picture overlaps one in the other by at least `least`.

    Faces of less than half the largest one's height do not count: a far background, a false alarm.
    """
    if not before or not after:
        return not before and not after
    tallest = max(detection.box.height for detection in (*before, *after))

    def matched(these: Sequence[Detection], those: Sequence[Detection]) -> bool:
        counting = [this.box for this in these if this.box.height >= tallest / 2]
        return all(any(box.iou(that.box) >= least for that in those) for box in counting)

    return matched(before, after) and matched(after, before)


def between(before: Box, after: Box, share: float) -> Box:
    """The box a share of the way from one to the other."""
    pairs = zip(before.corners, after.corners, strict=True)
    return Box(*(a + (b - a) * share for a, b in pairs))
