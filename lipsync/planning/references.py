"""Which frame shows the network what this person's mouth looks like.

`other`, the default: each shot is halved, and the frames of one half see a frame of the other half, the sharpest of a
few; none that is unfit (face_detection.fitness), if another is there.  So no frame sees its own mouth or a neighbour's,
which would tell the network what to copy, and the reference changes at most once a shot.  A shot of one frame, such as
a still, has only itself.
Where a network sees several, ordered by how far mouths are open, faces spread over the half fall into as many groups;
of each, those compete in sharpness that are more like the frames of this half in pose and light than the others.  One
set for all of a half: sets that change every second were nearer to each frame, and the results no better.
With a face occluder those count first whose mouth nothing hides: what is seen before it would be painted again.
`gt`: the frame itself, as in the original's cross mode.  `first_frame`, `random`: one frame for the whole clip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.arrays import Picture, Pictures, Span
from face_detection import Box, FaceTrack, cut
from lipsync.settings import Reference
from video import picked_ahead

from .halves import evenly_over, halves

CANDIDATES = 5  # frames of a half that compete in sharpness
CANDIDATES_IN_ORDER = 32  # frames of a half that are told apart by how far the mouth is open
SEEN, ALIKE = 0.02, 0.05  # of a mouth: hidden, it counts as seen; by so much more than the least, as that


@dataclass(frozen=True)
class References:
    """The references of one clip.  by_frame [n]: which of `crops` u8 [m, s, s, 3] a source frame sees, -1: itself.

    Where a network sees several at once, crops are u8 [m, k, s, s, 3].
    """

    crops: Pictures
    by_frame: NDArray[np.int64]

    def of(self, frames: Sequence[int], faces: Pictures) -> Pictures:
        """The references of source frames whose own faces are u8 [b, s, s, 3] -> the same shape, or [b, k, s, s, 3]."""
        index = self.by_frame[list(frames)]
        own = index < 0
        themselves = faces if self.crops.ndim == 4 else np.repeat(faces[:, None], self.crops.shape[1], axis=1)
        references = self.crops[np.maximum(index, 0)] if len(self.crops) else themselves.copy()
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
    hidden: Callable[[Picture, Box], float] | None = None,
    within: Sequence[Span] | None = None,
) -> References:
    """Reads the few frames that are needed.  The track must have a face somewhere.

    count: how many a frame sees at once; of `other`, that many spread over the half instead of its sharpest.
    openings: how far mouths u8 [n, s, s, 3] are open, [n]; then the widest open one comes first, the most closed last.
    hidden: how much of a mouth something is before, 0 to 1, of a frame u8 [h, w, 3] and the box of the face; of `other`
    those frames are chosen from where nothing is, or the least.
    within: the half-open ranges of frames that will be made, all if None; what only other frames would see is not read.
    """
    present = np.flatnonzero(track.present)
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
    for half in halves(track):
        seeing, shown = half.seeing, half.shown
        if half.alone:
            continue
        if within is not None and not any(((seeing >= low) & (seeing < high)).any() for low, high in within):
            continue
        by_frame[seeing] = len(crops)
        if hidden is not None:
            shown = _least_hidden(video, track, shown, hidden)
        if count == 1:
            crops.append(_sharpest(video, track, shown, size))
        elif openings is None:
            crops.append(_spread(video, track, shown, size, count))
        else:
            crops.append(_in_order(video, track, half.fit, shown, size, count, openings))
    return References(np.stack(crops) if crops else nothing, by_frame)


def _least_hidden(
    video: Path, track: FaceTrack, seen: NDArray[np.int64], hidden: Callable[[Picture, Box], float]
) -> NDArray[np.int64]:
    """All of these frames, if no mouth is hidden in those looked at; else of these the ones whose mouth is the least.
    """
    frames = evenly_over(seen, CANDIDATES_IN_ORDER)
    boxes = [box for k in frames.tolist() if (box := track.box(k)) is not None]
    with picked_ahead(video, frames.tolist()) as pictures:
        shares = np.array([hidden(picture, box) for picture, box in zip(pictures, boxes, strict=True)])
    if (shares <= SEEN).all():
        return seen
    return np.asarray(frames[shares <= max(SEEN, shares.min() + ALIKE)])


def _in_order(
    video: Path,
    track: FaceTrack,
    seeing: NDArray[np.int64],
    seen: NDArray[np.int64],
    size: int,
    count: int,
    openings: Callable[[Pictures], NDArray[np.float32]],
) -> Pictures:
    """The faces of frames spread over `seen`, in as many groups as are wanted by how far the mouth is open; of each the
    sharpest of that half of it that is most like the frames `seeing` in pose and light: u8 [count, s, s, 3]."""
    frames = evenly_over(seen, max(CANDIDATES_IN_ORDER, count))
    faces, unlike = _faces(video, track, frames.tolist(), size), _unlike(track, seeing, frames)
    order = np.argsort(-openings(faces), kind="stable")
    order = np.repeat(order, -(-count // len(order)))  # fewer than are wanted are shown more than once
    numbers = []
    for group in np.array_split(order, count):
        alike = group[unlike[group] <= np.median(unlike[group])]
        numbers.append(max(alike.tolist(), key=lambda k: _sharpness(faces[k])))
    return faces[numbers]


def _unlike(track: FaceTrack, seeing: NDArray[np.int64], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """How unlike each of `frames` is to the frames `seeing` in pose and light, [n]; 0 where that is unknown.

    The mean square of how unlike a frame is to all of some others is least where it is nearest to their mean.
    """
    if track.alike is None or np.isnan(track.alike[seeing, 0]).all():
        return np.zeros(len(frames))
    apart = np.square(track.alike[frames] - np.nanmean(track.alike[seeing], axis=0, dtype=np.float64)).sum(axis=1)
    return np.where(np.isnan(apart), np.inf, apart)


def _spread(video: Path, track: FaceTrack, frames: NDArray[np.int64], size: int, count: int) -> Pictures:
    """So many faces spread over `frames`, some of them more than once where these are fewer: u8 [count, s, s, 3]."""
    spread = frames[np.linspace(0, len(frames) - 1, count + 2).round().astype(int)[1:-1]].tolist()
    distinct = sorted(set(spread))
    faces = _faces(video, track, distinct, size)
    return np.stack([faces[distinct.index(frame)] for frame in spread])


def _sharpest(video: Path, track: FaceTrack, frames: NDArray[np.int64], size: int) -> Pictures:
    """The face whose lower half has the strongest edges, of a few spread over `frames`."""
    spread = np.linspace(0, len(frames) - 1, min(CANDIDATES, len(frames)) + 2).astype(int)[1:-1]
    faces = _faces(video, track, sorted({int(frames[i]) for i in spread}), size)
    return max(faces, key=_sharpness)


def _sharpness(face: Pictures) -> float:
    """How strong the edges of the lower half of a face u8 [s, s, 3] are."""
    return float(cv2.Laplacian(face[len(face) // 2 :].mean(axis=2), cv2.CV_64F).var())


def _faces(video: Path, track: FaceTrack, frames: list[int], size: int) -> Pictures:
    boxes = {k: box for k in frames if (box := track.box(k)) is not None}
    with picked_ahead(video, list(boxes)) as pictures:
        return np.stack([cut(picture, box, size) for picture, box in zip(pictures, boxes.values(), strict=True)])
