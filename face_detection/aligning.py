"""A track of boxes becomes one of aligned faces: upright, in one pose, whatever the detector framed; and what its
points say of where a mouth can be made well."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from core.arrays import Picture
from face_detection.alignment import POINTS, RIGID, TALL, aligned_boxes, steadied
from face_detection.fitness import lip_doubt, unfit
from face_detection.landmarks import Landmarks
from face_detection.likeness import light_of, likeness
from face_detection.track import FaceTrack

DOUBTFUL = 0.06  # as `landmarks.Found.doubt`, mean of eyes and nose: beyond, a frame's points are not believed


@dataclass(frozen=True)
class TrackPoints:
    """The points of a face in every frame of its track, f32 [n, 9, 2] pixels, and their doubt f32 [n, 9]; see
    `landmarks.Found`; light f32 [n, 3], as `likeness.light_of`.  NaN in a frame without a box."""

    points: npt.NDArray[np.float32]
    doubt: npt.NDArray[np.float32]
    light: npt.NDArray[np.float32]


def find_points(track: FaceTrack, pictures: Iterable[tuple[int, Picture]], finder: Landmarks) -> TrackPoints:
    """pictures: the number and the frame, u8 [h, w, 3] RGB, of every frame in which the track has a box, in order."""
    points = np.full((len(track), len(POINTS), 2), np.nan, np.float32)
    doubt = np.full((len(track), len(POINTS)), np.nan, np.float32)
    light = np.full((len(track), 3), np.nan, np.float32)
    for number, picture in pictures:
        box = track.box(number)
        if box is not None:
            points[number], doubt[number] = finder.find(picture, box)
            light[number] = light_of(picture, points[number])
    return TrackPoints(points, doubt, light)


def assess_fitness(track: FaceTrack, found: TrackPoints) -> FaceTrack:
    """The track, which says where no mouth can be made well (`fitness.unfit`)."""
    reasons = np.zeros(len(track), np.uint8)
    shots, doubt = np.array(track.shots), lip_doubt(found.doubt)
    for start, stop in _runs(track):
        shot = int(np.searchsorted(shots, start, side="right"))
        own = doubt[track.shots[shot - 1] : track.shots[shot] if shot < len(shots) else len(track)]
        usual = np.nanmedian(own, axis=0)
        reasons[start:stop] = unfit(found.points[start:stop], found.doubt[start:stop], usual)
    return replace(track, unfit=reasons)


def align(track: FaceTrack, found: TrackPoints, pace: float) -> FaceTrack:
    """The track with the boxes of aligned faces, and what of them is alike.

    pace: frames a second / 25.  Where points are doubtful, a face is where its neighbours in the same run of frames
    say; where all of a run are, it stays upright around the middle of its box.  Nothing is mixed across a cut or a gap.
    """
    rows = np.full((len(track), 4), np.nan)
    known = found.doubt[:, :RIGID].mean(axis=1) < DOUBTFUL  # False where there is no box
    rows[known] = aligned_boxes(found.points[known])
    boxes, angles = track.boxes.copy(), np.zeros(len(track), np.float32)
    for start, stop in _runs(track):
        own = rows[start:stop]
        own = steadied(_bridged(own, track.boxes[start:stop]), pace)
        half = np.stack([own[:, 2], own[:, 2] * TALL], axis=1) / 2
        boxes[start:stop] = np.concatenate([own[:, :2] - half, own[:, :2] + half], axis=1)
        angles[start:stop] = own[:, 3]
    alike = likeness(found.points, found.light)
    alike[~known] = np.nan
    return replace(track, boxes=boxes, angles=angles, alike=alike)


def _runs(track: FaceTrack) -> list[tuple[int, int]]:
    """The half-open ranges of frames with a box, broken at cuts."""
    edges = sorted({0, len(track), *track.shots, *(np.flatnonzero(np.diff(track.present)) + 1).tolist()})
    return [(start, stop) for start, stop in pairwise(edges) if track.present[start]]


def _bridged(rows: npt.NDArray[np.float64], boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Rows of consecutive frames without NaN: between those that are known, else upright around the boxes."""
    known = np.flatnonzero(~np.isnan(rows[:, 0]))
    if not known.size:
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        height = boxes[:, 3] - boxes[:, 1]
        return np.stack([middle[:, 0], middle[:, 1], height / TALL, np.zeros(len(boxes))], axis=1).astype(np.float64)
    whole = rows.copy()
    whole[known, 3] = np.degrees(np.unwrap(np.radians(rows[known, 3])))
    frames = np.arange(len(rows))
    return np.stack([np.interp(frames, known, column[known]) for column in whole.T], axis=1)
