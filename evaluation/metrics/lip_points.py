"""Which of MediaPipe's 478 points the figures of lips are of, and who finds them."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.arrays import Pictures
from core.atomic import save_atomically
from face_detection import Box
from face_detection.mediapipe_client import MediaPipe, in_margin
from face_detection.mediapipe_points import MOUTH

from ..video_sample import Points

FOREHEAD, CHIN, NOSE = 10, 152, 1
MIDDLE = (61, 291, 0, 17)  # corners, upper and lower edge: their mean is the mouth's centre
LEFT, RIGHT = 61, 291
INNER_PAIRS = ((13, 14), (82, 87), (312, 317))
OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LIPS = tuple(sorted({FOREHEAD, CHIN, NOSE, *OUTER, *INNER}))
POINTS = (*MOUTH, *LIPS)
SMALL, EDGE = 300, 40  # a crop lower than this is shown with so many pixels of its own edge around it

_PLACE = {number: place for place, number in enumerate(LIPS)}


def chosen(lips: Points, *numbers: int) -> NDArray[np.float64]:
    """Of points f32 [t, p, 2] of LIPS, those of MediaPipe's numbers: f64 [t, n, 2]."""
    return lips[:, [_PLACE[number] for number in numbers]].astype(np.float64)


class LipPoints:
    """MediaPipe's landmarker, which finds both the 20 points of a mouth and those of LIPS."""

    name = MediaPipe.name

    def __init__(self, landmarker: MediaPipe, memory: Path | None = None) -> None:
        """landmarker: asked for POINTS.  memory: a folder in which what was found is kept, by the pictures."""
        self._landmarker, self._memory = landmarker, memory

    def find(self, pictures: Pictures, place: Box) -> Points:
        """pictures u8 [t, h, w, 3] RGB -> f32 [t, p, 2], (x, y) of POINTS in pixels, NaN where there is no face.

        Raises BadInput if the landmarker's program has died.
        """
        if self._memory is None:
            return self._found(pictures)
        name = hashlib.blake2b(np.ascontiguousarray(pictures).tobytes(), digest_size=16).hexdigest()
        path = self._memory / f"{name}.npy"
        if not path.exists():
            found = self._found(pictures)
            save_atomically(path, lambda temporary: np.save(temporary, found))
        known: Points = np.load(path, allow_pickle=False)
        return known

    def _found(self, pictures: Pictures) -> Points:
        edge = EDGE if min(pictures.shape[1:3]) < SMALL else 0
        return self._landmarker.find(in_margin(pictures, edge)) - np.float32(edge)
