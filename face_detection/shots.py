"""Where one shot ends and the next begins, from a thumbnail of every frame."""

from array import array
from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

from core.arrays import Picture

THUMBNAIL = (48, 32)  # width, height
LEAST = 0.09
"""The least change of a cut: mean difference of two thumbnails, as a share of the full range."""
AGAINST_MOTION = 3.0
"""How many times a cut stands out from the changes around it: a waving hand or a pan changes every frame."""
AROUND = 4
"""Frames before and after that count as around."""
FLASH = 3
"""Frames a flash may last: what looks the same before and after was no cut."""

Thumbnail = npt.NDArray[np.float32]


class ChangeMeter:
    """Is shown every frame in turn and keeps how much the picture changed: a few floats per frame."""

    def __init__(self) -> None:
        self._recent: deque[Thumbnail] = deque(maxlen=FLASH + 1)
        self._changes = array("f")  # FLASH + 1 per frame: from frame t - 1, t - 2 ... to t

    def recall(self, frame: Picture) -> None:
        """A frame from before the stretch: what follows is compared with it too."""
        self._recent.append(_thumbnail(frame))

    def add(self, frame: Picture) -> float:
        """The change from the frame before, 0 (the same) to 1 (nothing in common; or there was none before)."""
        thumbnail = _thumbnail(frame)
        changes = [float(np.abs(thumbnail - earlier).mean()) for earlier in reversed(self._recent)]
        self._changes.extend(changes + [1.0] * (FLASH + 1 - len(changes)))
        self._recent.append(thumbnail)
        return changes[0] if changes else 1.0

    def take(self) -> npt.NDArray[np.float32]:
        """f32 [n, FLASH + 1] of the frames added since it was last asked."""
        taken = np.array(self._changes, np.float32).reshape(-1, FLASH + 1)
        self._changes = array("f")
        return taken


def shot_starts(changes: npt.NDArray[np.float32]) -> tuple[int, ...]:
    """changes f32 [n, FLASH + 1] -> the first frame of every shot, rising from 0."""
    return (0, *(t for t in range(1, len(changes)) if _is_cut(changes, t)))


def _is_cut(changes: npt.NDArray[np.float32], t: int) -> bool:
    """Whether a shot starts at frame t."""
    step = changes[:, 0]
    if step[t] < LEAST:
        return False
    around = np.concatenate([step[max(t - AROUND, 1) : t], step[t + 1 : t + 1 + AROUND]])
    if around.size and step[t] < AGAINST_MOTION * np.median(around):
        return False
    # A flash opens at t if one of the next frames looks like frame t - 1 again, and closes at t if frame t looks like
    # one before the last: either way nothing was cut.
    opened = any(changes[t + k, k] < step[t] / 2 for k in range(1, FLASH + 1) if t + k < len(changes))
    closed = any(changes[t, k] < step[t] / 2 for k in range(1, FLASH + 1) if t - 1 - k >= 0)
    return not (opened or closed)


def _thumbnail(frame: Picture) -> Thumbnail:
    """frame u8 RGB -> f32 [32, 48, 3] in [0, 1], blurred: place counts less than content."""
    small = cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.0) / 255, np.float32)
