"""From frames to sightings: one pass, bounded memory, in blocks that know nothing of each other.

Every fifth frame is looked at, and the frames between two of those as well where a face moved, appeared or vanished or
the picture changed at once.  A block of 80 frames is searched by itself, so any stretch of blocks can be searched
anywhere, at any time, and the joined sightings are the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from core.arrays import Picture
from core.beside import ahead
from face_detection.appearance import LENGTH, ColourSignature, colour_signature
from face_detection.box import Detection
from face_detection.detector import Detector
from face_detection.linking import hardly_moves
from face_detection.shots import LEAST, ChangeMeter
from face_detection.sightings import Sightings
from video import shrunken

LONGEST = 640
"""Detection sees frames whose longer side is at most this many pixels."""
STRIDE = 5
"""Every so many frames are looked at while the faces hardly move: a fifth of a second at 25 fps."""
STILL = 0.75
"""Faces whose boxes overlap at least this much (IoU) across a stride hardly moved: about 8 % of their size and
position, within which a line is a good guess at what lies between."""
BLOCK = 16 * STRIDE
"""Frames searched by themselves; of up to three times as many the shrunken ones are in memory, 55 MB at 640x360 each
time: while one block is searched the next ones are read."""
BATCH = 16
"""Pictures handed to the detector at once."""

Sighting = tuple[Detection, ColourSignature]


def search(
    frames: Iterable[Picture],
    detector: Detector,
    *,
    start: int = 0,
    before: Iterable[Picture] = (),
    batch: int = BATCH,
    size: tuple[int, int] | None = None,
) -> Iterator[Sightings]:
    """HWC u8 RGB frames of one size, `start` the first one's number, a multiple of BLOCK -> sightings block by block.

    before: up to FLASH + 1 frames that precede them, so that a cut at the very start is seen too.
    size: height and width in whose pixels faces are told, where the frames come smaller than they are; None: their own.
    """
    if start % BLOCK or batch < 1:
        raise ValueError(f"a search starts at a multiple of {BLOCK} with batches of 1 or more, not {start}, {batch}")
    with ahead(_blocks(frames, start, before, size), 1, "decode") as blocks:
        for block, changes in blocks:
            yield _searched(block, changes, detector, batch)


def _blocks(
    frames: Iterable[Picture], start: int, before: Iterable[Picture], size: tuple[int, int] | None
) -> Iterator[tuple[list["_Small"], npt.NDArray[np.float32]]]:
    """The frames, made small, in blocks, and how much each frame of a block differs from the one before it."""
    meter = ChangeMeter()
    for frame in before:
        meter.recall(shrunken(frame, LONGEST))
    block: list[_Small] = []
    for number, frame in enumerate(frames, start):
        block.append(_small(number, frame, meter, size))
        if (number + 1) % BLOCK == 0:
            yield block, meter.take()
            block = []
    if block:
        yield block, meter.take()


@dataclass(frozen=True)
class _Small:
    """A frame made small for detection; to_frame scales (x, y) its pixels to those of the frame."""

    number: int
    picture: Picture = field(repr=False)
    to_frame: tuple[float, float]
    changed: bool  # whether the picture changed at once, as it does at a cut


def _small(number: int, frame: Picture, meter: ChangeMeter, size: tuple[int, int] | None) -> _Small:
    picture = shrunken(frame, LONGEST)
    height, width = size or frame.shape[:2]
    to_frame = width / picture.shape[1], height / picture.shape[0]
    return _Small(number, picture, to_frame, changed=meter.add(picture) >= LEAST)


def _searched(
    block: Sequence[_Small], changes: npt.NDArray[np.float32], detector: Detector, batch: int
) -> Sightings:
    """The frames that STRIDE divides, and the last, then what lies between two that differ."""
    anchors = [place for place, small in enumerate(block) if small.number % STRIDE == 0 or small is block[-1]]
    detections = _detect([block[anchor] for anchor in anchors], detector, batch)
    doubtful: list[_Small] = []
    for opened, closed in pairwise(anchors):
        last, here = ([detection for detection, _ in detections[block[place].number]] for place in (opened, closed))
        if not hardly_moves(last, here, STILL) or any(small.changed for small in block[opened + 1 : closed + 1]):
            doubtful += block[opened + 1 : closed]
    detections |= _detect(doubtful, detector, batch)
    return _stacked(block, detections, changes)


def _detect(smalls: Sequence[_Small], detector: Detector, batch: int) -> dict[int, list[Sighting]]:
    """The detections in pixels of the frames, with their looks, by frame."""
    by_frame: dict[int, list[Sighting]] = {}
    for first in range(0, len(smalls), batch):
        part = smalls[first : first + batch]
        for small, detections in zip(part, detector.detect([small.picture for small in part]), strict=True):
            by_frame[small.number] = [
                (detection.scaled(*small.to_frame), colour_signature(small.picture, detection.box))
                for detection in detections
            ]
    return by_frame


def _stacked(
    block: Sequence[_Small], found: dict[int, list[Sighting]], changes: npt.NDArray[np.float32]
) -> Sightings:
    rows = [(frame, detection, look) for frame in sorted(found) for detection, look in found[frame]]
    return Sightings(
        start=block[0].number,
        searched=np.array([small.number in found for small in block], np.bool_),
        changes=changes,
        frames=np.array([frame for frame, _, _ in rows], np.int32),
        boxes=np.array([detection.box.corners for _, detection, _ in rows], np.float32).reshape(-1, 4),
        scores=np.array([detection.score for _, detection, _ in rows], np.float32),
        looks=np.array([look for _, _, look in rows], np.uint8).reshape(-1, LENGTH),
    )
