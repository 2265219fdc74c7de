"""From frames to a FaceTrack: one pass, bounded memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from face_detection.box import Box, Detection
from face_detection.detector import Detector, Picture
from face_detection.linking import Chain, Chooser, between, hardly_moves, largest, lasting, link, reunited
from face_detection.shots import LEAST, ShotFinder
from face_detection.track import FaceTrack

LONGEST = 640
"""Detection sees frames whose longer side is at most this many pixels."""
STRIDE = 5
"""Every so many frames are looked at while the faces hardly move: a fifth of a second at 25 fps."""
STILL = 0.75
"""Faces whose boxes overlap at least this much (IoU) across a stride hardly moved: about 8 % of their size and
position, within which a line is a good guess at what lies between."""
BATCH = 16
"""Pictures handed to the detector at once; up to BATCH * STRIDE shrunken frames wait meanwhile, 55 MB at 640x360."""


def track_face(
    frames: Iterable[Picture],
    detector: Detector,
    *,
    choose: Chooser = largest,
    stride: int = STRIDE,
    longest: int = LONGEST,
    batch: int = BATCH,
) -> FaceTrack:
    """One face through the clip: HWC u8 RGB frames of one size -> its track as seen, neither filled nor smoothed.

    Every `stride`-th frame is searched, and the frames between two of those as well where a face moved, appeared or
    vanished or the picture changed at once.  In each shot the detections are linked to faces by overlap, and `choose`
    says which is meant: the one that fills most of the shot.  Shots without a face, and frames where the chosen face
    was searched for and not found, have no box.
    """
    if stride < 1 or longest < 1 or batch < 1:
        raise ValueError(f"stride, longest and batch are at least 1, not {stride}, {longest}, {batch}")
    shots = ShotFinder()
    sightings: dict[int, list[Detection]] = {}
    for searched in _searched(_shrunken(frames, shots, longest), detector, stride, batch):
        sightings.update(searched)
    starts = shots.starts()
    n = shots.frames
    boxes = np.full((n, 4), np.nan, np.float32)
    for start, stop in zip(starts, (*starts[1:], n), strict=True):
        searched_here = {frame: sightings[frame] for frame in range(start, stop) if frame in sightings}
        chains = lasting(link(searched_here), len(searched_here))
        if chains:
            for chain in reunited(choose(chains, stride), chains, stride):
                _write(boxes, chain, sightings)
    return FaceTrack(boxes, ~np.isnan(boxes[:, 0]), starts)


@dataclass(frozen=True)
class _Small:
    """A frame made small for detection; to_frame scales (x, y) its pixels to those of the frame."""

    index: int
    picture: Picture = field(repr=False)
    to_frame: tuple[float, float]
    jump: bool  # whether the picture changed at once, as it does at a cut


def _shrunken(frames: Iterable[Picture], shots: ShotFinder, longest: int) -> Iterator[_Small]:
    for index, frame in enumerate(frames):
        jump = shots.add(frame) >= LEAST
        height, width = frame.shape[:2]
        scale = min(1.0, longest / max(height, width))
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        small = frame if scale == 1 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        yield _Small(index, np.asarray(small, np.uint8), (width / size[0], height / size[1]), jump)


def _searched(
    frames: Iterator[_Small], detector: Detector, stride: int, batch: int
) -> Iterator[dict[int, list[Detection]]]:
    """The detections of the frames that were searched, by index; an index that is left out was skipped."""
    waiting: list[_Small] = []
    before: list[Detection] | None = None  # in the last frame searched of the block before
    for small in frames:
        waiting.append(small)
        if small.index and small.index % (stride * batch) == 0:
            found = _search(waiting, before, detector, stride)
            before = found[small.index]
            waiting = []
            yield found
    if waiting:
        yield _search(waiting, before, detector, stride)


def _search(
    block: Sequence[_Small], before: list[Detection] | None, detector: Detector, stride: int
) -> dict[int, list[Detection]]:
    """The frames of the block that stride divides, and its last, then what lies between two that differ.

    before: the detections in the frame just ahead of the block, if there is one.
    """
    anchors = [place for place, small in enumerate(block) if small.index % stride == 0 or small is block[-1]]
    found = _detect([block[anchor] for anchor in anchors], detector)
    doubtful: list[_Small] = []
    last, opened = before or [], -1
    for anchor in anchors:
        here = found[block[anchor].index]
        skipped = block[opened + 1 : anchor]
        moved = not hardly_moves(last, here, STILL) or any(small.jump for small in (*skipped, block[anchor]))
        if moved:
            doubtful += skipped
        last, opened = here, anchor
    return found | _detect(doubtful, detector)


def _detect(smalls: Sequence[_Small], detector: Detector) -> dict[int, list[Detection]]:
    """The detections in pixels of the frames, by index."""
    if not smalls:
        return {}
    found = detector.detect([small.picture for small in smalls])
    return {
        small.index: [detection.scaled(*small.to_frame) for detection in detections]
        for small, detections in zip(smalls, found, strict=True)
    }


def _write(boxes: npt.NDArray[np.float32], chain: Chain, searched: dict[int, list[Detection]]) -> None:
    """The boxes of a chain, and between two sightings those of the frames that were skipped."""
    places: list[tuple[int, Box]] = [
        (frame, sighting.box) for frame, sighting in zip(chain.frames, chain.sightings, strict=True)
    ]
    for frame, box in places:
        boxes[frame] = box.array()
    for (start, box), (stop, next_box) in pairwise(places):
        between_them = range(start + 1, stop)
        if not any(frame in searched for frame in between_them):
            for frame in between_them:
                boxes[frame] = between(box, next_box, (frame - start) / (stop - start)).array()
