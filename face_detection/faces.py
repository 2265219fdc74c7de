"""The people of a video: one track each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from core.arrays import Picture, Span
from face_detection.detector import Detector
from face_detection.identity import people
from face_detection.linking import Tracklet, between, link
from face_detection.searching import BATCH, STRIDE, search
from face_detection.shots import shot_starts
from face_detection.sightings import Sightings
from face_detection.track import FaceTrack

MOST = 16
"""People that are kept, those that fill most of the video: 17 bytes a frame each, 25 MB an hour in all."""
TRACKLETS = 512
"""Chains that are told apart, the heaviest ones: each is compared with each, and an hour has thousands of alarms."""


@dataclass(frozen=True)
class Faces:
    """The people seen, as tracks as seen, neither filled nor smoothed; the one who fills most of `shown` is first.

    All tracks count their frames from the start of the video and have the same shots; in frames that were not
    searched there is nobody.  shown: the half-open range of frames by which one of them is chosen.
    """

    tracks: tuple[FaceTrack, ...]
    frames: int
    shots: tuple[int, ...]
    shown: Span

    def __len__(self) -> int:
        return len(self.tracks)


def find_faces(sightings: Sightings, shown: Span | None = None) -> Faces:
    """Who is to be seen: sightings are linked to tracklets within each shot, tracklets to people across them.

    shown: the frames of which the one who fills most is first, all that were searched if None; those who are in none
    of them follow, by all that were searched.
    """
    start, stop = sightings.start, sightings.stop
    low, high = shown or (start, stop)
    starts = [start + shot for shot in shot_starts(sightings.changes)]
    tracklets = [
        tracklet for first, last in pairwise([*starts, stop]) for tracklet in link(sightings, first, last, STRIDE)
    ]
    shots = tuple(sorted({0, *starts})) if stop else (0,)
    tracklets = sorted(tracklets, key=lambda tracklet: -tracklet.weight(start, stop))[:TRACKLETS]

    def rank(group: list[Tracklet]) -> tuple[float, float, Span]:
        inside, all_in_all = (sum(part.weight(*span) for part in group) for span in ((low, high), (start, stop)))
        return -inside, -all_in_all, group[0].span

    groups = sorted(people(tracklets), key=rank)
    searches = np.concatenate([np.zeros(start, np.int64), np.cumsum(sightings.searched)])
    tracks = tuple(_track(group, stop, shots, searches) for group in groups[:MOST])
    return Faces(tracks, stop, shots, (low, high))


def track_face(frames: Iterable[Picture], detector: Detector, *, batch: int = BATCH) -> FaceTrack:
    """The person who fills most of a whole clip: HWC u8 RGB frames of one size -> the track as seen.

    Frames where the person was searched for and not found, have no box.
    """
    parts = list(search(frames, detector, batch=batch))
    if not parts:
        return FaceTrack.nobody(0)
    faces = find_faces(Sightings.joined(parts))
    return faces.tracks[0] if faces.tracks else FaceTrack.nobody(faces.frames, faces.shots)


def _track(
    tracklets: Sequence[Tracklet], frames: int, shots: tuple[int, ...], searches: npt.NDArray[np.int64]
) -> FaceTrack:
    """The boxes of the tracklets, and between two sightings those of the frames that were skipped.

    searches i64 [frames]: how many frames were searched up to each one, that one included.
    """
    boxes = np.full((frames, 4), np.nan, np.float32)
    for tracklet in tracklets:
        boxes[tracklet.frames] = tracklet.boxes
        for place, (start, stop) in enumerate(pairwise(tracklet.frames.tolist())):
            if searches[stop - 1] == searches[start]:
                share = np.arange(1, stop - start) / (stop - start)
                boxes[start + 1 : stop] = between(tracklet.boxes[place], tracklet.boxes[place + 1], share)
    return FaceTrack(boxes, ~np.isnan(boxes[:, 0]), shots)
