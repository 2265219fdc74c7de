"""Which sightings within one shot are the same face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_detection.appearance import difference
from face_detection.box import Detection
from face_detection.sightings import Sightings

SAME = 0.3
"""The least overlap (IoU) of one face in two sightings that follow each other."""
OTHER = 12.0
"""The difference of looks (identity.LOOK) above which two faces are two people's, even at the same place."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tracklet:
    """One face through (part of) one shot.

    frames i32 [c], rising; boxes f32 [c, 4]; weights f32 [c]: its area times how sure it is, in each frame of those
    that a sighting stands for, of which steps i32 [c] says how many; look f32 [60]: the median of its looks.
    """

    frames: npt.NDArray[np.int32]
    boxes: Floats
    weights: Floats
    steps: npt.NDArray[np.int32]
    look: Floats

    def weight(self, start: int, stop: int) -> float:
        """Its weights, summed over those of frames start..stop-1 in which it is there."""
        inside = np.minimum(self.frames + self.steps, stop) - np.maximum(self.frames, start)
        return float(self.weights @ inside.clip(0))

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last frame."""
        return int(self.frames[0]), int(self.frames[-1])

    @property
    def height(self) -> float:
        """The median height of the face, in pixels."""
        return float(np.median(self.boxes[:, 3] - self.boxes[:, 1]))


def link(sightings: Sightings, start: int, stop: int, stride: int) -> list[Tracklet]:
    """The sightings of frames start..stop-1, one shot -> its faces, without the chance alarms.

    Each sighting joins the face that it overlaps most, if any.  A face counts when it was sighted in at least 3 of
    the frames searched, or in half of them if there are fewer.  A sighting weighs for the frames up to the next one,
    but for no more than `stride`, since at most so many were skipped.
    """
    tracklets: list[list[int]] = []
    searched = np.flatnonzero(sightings.searched[start - sightings.start : stop - sightings.start]) + start
    for frame in searched:
        rows = sightings.rows(int(frame))
        here = list(range(rows.start, rows.stop))
        for tracklet, row in _matches(sightings, [tracklet[-1] for tracklet in tracklets], here):
            tracklets[tracklet].append(row)
            here.remove(row)
        tracklets += [[row] for row in here]
    least = min(3, (len(searched) + 1) // 2)
    return [_tracklet(sightings, rows, stride) for rows in tracklets if len(rows) >= least]


def overlaps(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union of every box [a, 4] with every other [b, 4] -> f32 [a, b]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas, other_areas = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, others))
    return np.asarray(shared / (areas[:, None] + other_areas[None] - shared), np.float32)


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


def between(before: Floats, after: Floats, share: npt.NDArray[np.float64]) -> Floats:
    """The boxes [n, 4] at the shares [n] of the way from one box [4] to the other."""
    return np.asarray(before + (after - before) * share[:, None], np.float32)


def _matches(sightings: Sightings, last: list[int], here: list[int]) -> list[tuple[int, int]]:
    """(tracklet, row) of each sighting that goes on with one, whose last row is given: the best overlap first."""
    if not last or not here:
        return []
    table = overlaps(sightings.boxes[last], sightings.boxes[here])
    for tracklet, place in np.argwhere(table >= SAME):
        if difference(sightings.looks[last[tracklet]], sightings.looks[here[place]]) > OTHER:
            table[tracklet, place] = 0
    matches = []
    while (best := int(table.argmax())) >= 0 and table.flat[best] >= SAME:
        tracklet, place = divmod(best, len(here))
        matches.append((tracklet, here[place]))
        table[tracklet], table[:, place] = 0, 0
    return matches


def _tracklet(sightings: Sightings, rows: list[int], stride: int) -> Tracklet:
    frames, boxes = sightings.frames[rows], sightings.boxes[rows]
    steps = np.minimum(np.diff(frames, append=frames[-1] + 1), stride).astype(np.int32)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    look = np.median(sightings.looks[rows], axis=0).astype(np.float32)
    return Tracklet(frames, boxes, areas * sightings.scores[rows], steps, look)
