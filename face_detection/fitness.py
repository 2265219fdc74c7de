"""Where a mouth can be made well, from the nine points of every frame: not on a face that is turned far away, nor where
the points are unsure of the face, nor where something is before the mouth.

Turned, the tip of the nose moves sideways against the eyes, since it stands out from their plane.  A hidden mouth shows
in what the points doubt, held against the rest of the same shot: their finder was trained with parts of faces hidden.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from core.runs import runs
from face_detection.alignment import POINTS, RIGID
from face_detection.smoothing import running_median

Floats = npt.NDArray[np.float32]
Reasons = npt.NDArray[np.uint8]

NOSE = 1.93
"""Tangent of the yaw by widths between the eyes' outer corners that the nose's tip is off: least squares against the
head pose of MediaPipe's landmarker, 1,714 frames of all splits and full videos.  r = 0.96, off by 1.4 degrees in the
mean and 2.8 beyond 20."""
FARTHEST = 40.0
"""Degrees.  Of the frames that are learned from, 1 % are turned by more than 29 as MediaPipe says, and five of 603
by more than 35.  The limit lies higher because a nose may mislead: in one clip of `test`, whose mouth is plainly to be
made, `yaw` says 36 where MediaPipe says 16."""
RETURN = 35.0  # degrees below which a face that was turned too far is taken for turned back
UNCLEAR = 0.012
"""`landmarks.Found.doubt`, mean of eyes and nose.  Of 1,714 real faces those turned by less than 30 degrees have at
most 0.0110, the four turned by more than 40 have 0.0097, 0.0116, 0.0128 and 0.0140: a profile, of whose `yaw` the
points say nothing any more, is seen by this.  In every full video half the squares of noise have more than 0.020, and
95 % of boxes beside the face more than 0.016.  All of the landmark network before this one; of this, 128 frontal faces
have at most 0.0030, half the squares of noise over them more than 0.037 and half the boxes beside them 0.026; profiles
were not looked at again."""
FITTED_FOR = "182efcbf6911aee6"
"""The first digits of the SHA-256 of the landmark network's weights that HIDING belongs to: others doubt otherwise."""
HIDING = (-0.65, 0.52, 0.52, -0.65, -0.96, 0.45, 0.42, 0.88, 0.88)
"""Weights of `lip_doubt` above the shot's own; from 1 on, the mouth counts as hidden.  scripts/fit_hidden.py makes them
and says how well, for things drawn before mouths; of real ones there is no clip.  It would rather miss one than take a
bare mouth away: of 1,379 bare frames of `seen`, `test` and whole videos none passes (the highest has 0.74), of covered
ones in `test` 98 % of squares and cups, 97 % of hands, 95 % of microphones, 94 % of fists; in whole videos 100, 97, 80,
91 and 72 %.  What hides a mouth for more than half of a shot is the shot's own, and not seen."""
BARE = 0.6  # of the same: below it a mouth that was hidden counts as bare again
OUTER_EYES, TIP = (POINTS.index(33), POINTS.index(263)), POINTS.index(4)


class Reason(IntEnum):
    """Why no mouth can be made well."""

    NONE = 0
    TURNED = 1
    UNCLEAR = 2
    HIDDEN = 3

    @property
    def words(self) -> str:
        """For a person: "turned away in ..."."""
        return ("", "turned away", "face unclear", "mouth hidden")[self]


def yaw(points: Floats) -> npt.NDArray[np.float64]:
    """Points f32 [n, 9, 2] of faces, pixels -> f64 [n]: degrees by which each is turned, positive to the picture's
    right.  NaN where a point is."""
    left, right = (points[:, place].astype(np.float64) for place in OUTER_EYES)
    across = right - left
    width = np.linalg.norm(across, axis=1)
    off = ((points[:, TIP] - (left + right) / 2) * across).sum(axis=1) / width**2
    return np.asarray(np.degrees(np.arctan(NOSE * off)), np.float64)


def unfit(points: Floats, doubt: Floats, usual: npt.NDArray[np.float64]) -> Reasons:
    """Consecutive frames of one face -> u8 [n], the `Reason` of each; a single odd frame is none.

    points f32 [n, 9, 2] pixels and doubt f32 [n, 9], as `landmarks.Found` has them; usual f64 [9]: the median of
    `lip_doubt` in the shot that they are of.
    """
    if not len(points):
        return np.zeros(0, np.uint8)
    hiding = (lip_doubt(doubt) - usual) @ np.array(HIDING)
    features = np.stack([yaw(points), doubt[:, :RIGID].mean(axis=1), hiding], axis=1)
    turned, unsure, covered = running_median(features).T
    reasons = np.where(_between(covered, 1, BARE), Reason.HIDDEN, Reason.NONE)
    reasons = np.where(_between(np.abs(turned), FARTHEST, RETURN), Reason.TURNED, reasons)
    return np.where(unsure > UNCLEAR, Reason.UNCLEAR, reasons).astype(np.uint8)


def _between(values: npt.NDArray[np.float64], on: float, off: float) -> npt.NDArray[np.bool_]:
    """bool [n]: from where values pass `on`, and before and after that as long as they stay above `off`."""
    high, flags = values > off, np.zeros(len(values), np.bool_)
    for start, stop in runs(high):
        flags[start:stop] = values[start:stop].max() > on
    return flags


def lip_doubt(doubt: Floats) -> npt.NDArray[np.float64]:
    """Doubt f32 [n, 9] -> f64 [n, 9], logarithms, less the mean of eyes' and nose's: what blurs all of a face is
    left out."""
    logs = np.log(doubt.astype(np.float64))
    return np.asarray(logs - logs[:, :RIGID].mean(axis=1, keepdims=True))
