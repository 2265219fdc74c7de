"""How much of a new mouth is seen in each frame of a track: none where it cannot be made well, and less and less on the
way there.  A function of the track alone, so every process that makes a part of a result knows the same."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from core.arrays import smoothstep
from core.runs import runs
from face_detection.fitness import Reason
from face_detection.track import FaceTrack

Floats = npt.NDArray[np.float32]
Range = tuple[int, int, str]


def opacity(track: FaceTrack, start: int, stop: int, reach: int) -> Floats:
    """f32 [n], 0 to 1: the share of the new mouth in each frame of the track.

    0 in frames that are unfit; beside them, and beside those of start..stop-1 that have no face, it rises within
    `reach` frames (0: at once).  Where a shot begins or ends nothing is to be faded: all of the picture changes.
    """
    bad = ~track.present
    bad[:start], bad[stop:] = False, False  # nobody was searched there
    if track.unfit is not None:
        bad |= track.unfit > 0
    shares = np.ones(len(track), np.float32)
    for first, last in pairwise([*track.shots, len(track)]):
        apart = _distance(bad[first:last]) / (reach + 1)
        shares[first:last] = smoothstep(apart)
    return shares


def unfit_ranges(track: FaceTrack, start: int, stop: int) -> list[Range]:
    """Where in frames start..stop-1 no mouth can be made well: first and last frame, and why, in order."""
    if track.unfit is None:
        return []
    part = np.where(track.present, track.unfit, 0)[start:stop]
    ranges = [
        (start + low, start + high - 1, reason.words)
        for reason in Reason if reason
        for low, high in runs(part == reason)
    ]  # fmt: skip
    return sorted(ranges)


def _distance(bad: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """[n]: how many frames each is away from the next bad one; infinite where there is none."""
    frames, indices = np.arange(len(bad)), np.flatnonzero(bad)
    if not indices.size:
        return np.full(len(bad), np.inf)
    after = np.searchsorted(indices, frames)
    before, behind = indices[np.maximum(after - 1, 0)], indices[np.minimum(after, len(indices) - 1)]
    return np.asarray(np.minimum(np.abs(frames - before), np.abs(behind - frames)), np.float64)
