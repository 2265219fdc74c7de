"""Which frame shows the network what this person's mouth looks like.

`other`, the default: each shot is halved, and the frames of one half see a frame of the other half, the sharpest of a
few; none that is unfit (face_detection.fitness), if another is there.  So no frame sees its own mouth or a neighbour's,
which would tell the network what to copy, and the reference changes at most once a shot.  A shot of one frame, such as
a still, has only itself.
`gt`: the frame itself, as in the original's cross mode.  `first_frame`, `random`: one frame for the whole clip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from face_detection import FaceTrack, cut
from lipsync.settings import Reference
from video import pick_frames

CANDIDATES = 5  # frames of a half that compete in sharpness
CANDIDATES_IN_ORDER = 12  # frames of a half of which those are taken that are told apart by how far the mouth is open

Pictures = NDArray[np.uint8]
Span = tuple[int, int]


@dataclass(frozen=True)
class References:
    """The references of one clip.  by_frame [n]: which of `crops` u8 [m, s, s, 3] a source frame sees, -1: itself.

    Where a network sees several at once, crops are u8 [m, k, s, s, 3].
    """

    crops: Pictures
    by_frame: NDArray[np.int64]

    def of(self, frames: Sequence[int], faces: Pictures) -> Pictures:
        """The references of source frames whose own faces are u8 [b, s, s, 3] -> the same shape, or [b, k, s, s, 3]."""
        chosen = self.by_frame[list(frames)]
        own = chosen < 0
        themselves = faces if self.crops.ndim == 4 else np.repeat(faces[:, None], self.crops.shape[1], axis=1)
        references = self.crops[np.maximum(chosen, 0)] if len(self.crops) else themselves.copy()
        references[own] = themselves[own]
        return references


def choose_references(
    video: Path,
    track: FaceTrack,
    size: int,
    how: Reference,
    seed: int,
    *,
    count: int = 1,
    openings: Callable[[Pictures], NDArray[np.float32]] | None = None,
    within: Sequence[Span] | None = None,
) -> References:
    """Reads the few frames that are needed.  The track must have a face somewhere.

    count: how many a frame sees at once; of `other`, that many spread over the half instead of its sharpest.
    openings: how far mouths u8 [n, s, s, 3] are open, [n]; then those many are spread over what is between the widest
    open mouth, which comes first, and the most closed one.
    within: the half-open ranges of frames that will be made, all if None; what only other frames would see is not read.
    """
    present = np.flatnonzero(track.present)
    fit = np.ones(len(track), np.bool_) if track.unfit is None else track.unfit == 0
    by_frame = np.full(len(track.present), -1)
    nothing = np.empty((0, size, size, 3) if count == 1 else (0, count, size, size, 3), np.uint8)
    if how == "gt":
        return References(nothing, by_frame)
    if how != "other":
        index = present[0] if how == "first_frame" else np.random.default_rng(seed).choice(present)
        by_frame[:] = 0
        one = _faces(video, track, [int(index)], size)
        return References(one if count == 1 else np.repeat(one[None], count, axis=1), by_frame)

    crops: list[Pictures] = []
    edges = [*track.shots, len(track.present)]
    for start, stop in pairwise(edges):
        shot = present[(present >= start) & (present < stop)]
        if len(shot) < 2:
            continue
        first, second = shot[: len(shot) // 2], shot[len(shot) // 2 :]
        for seeing, seen in ((first, second), (second, first)):
            if within is not None and not any(((seeing >= low) & (seeing < high)).any() for low, high in within):
                continue
            by_frame[seeing] = len(crops)
            seen = seen[fit[seen]] if fit[seen].any() else seen
            if count == 1:
                crops.append(_sharpest(video, track, seen, size))
            elif openings is None:
                crops.append(_spread(video, track, seen, size, count))
            else:
                several = _spread(video, track, seen, size, max(CANDIDATES_IN_ORDER, count))
                order = np.argsort(-openings(several), kind="stable")
                crops.append(several[order[np.linspace(0, len(order) - 1, count).round().astype(int)]])
    return References(np.stack(crops) if crops else nothing, by_frame)


def _spread(video: Path, track: FaceTrack, frames: NDArray[np.int64], size: int, count: int) -> Pictures:
    """So many faces spread over `frames`, some of them more than once where these are fewer: u8 [count, s, s, 3]."""
    chosen = frames[np.linspace(0, len(frames) - 1, count + 2).round().astype(int)[1:-1]].tolist()
    distinct = sorted(set(chosen))
    faces = _faces(video, track, distinct, size)
    return np.stack([faces[distinct.index(frame)] for frame in chosen])


def _sharpest(video: Path, track: FaceTrack, frames: NDArray[np.int64], size: int) -> Pictures:
    """The face whose lower half has the strongest edges, of a few spread over `frames`."""
    spread = np.linspace(0, len(frames) - 1, min(CANDIDATES, len(frames)) + 2).astype(int)[1:-1]
    faces = _faces(video, track, sorted({int(frames[i]) for i in spread}), size)
    sharpness = [float(cv2.Laplacian(face[size // 2 :].mean(axis=2), cv2.CV_64F).var()) for face in faces]
    sharpest: Pictures = faces[int(np.argmax(sharpness))]
    return sharpest


def _faces(video: Path, track: FaceTrack, frames: list[int], size: int) -> Pictures:
    boxes = {k: box for k in frames if (box := track.box(k)) is not None}
    pictures = zip(pick_frames(video, list(boxes)), boxes.values(), strict=True)
    return np.stack([cut(picture, box, size) for picture, box in pictures])
