"""Which of the people is meant: `largest`, `center`, `index:N` or `point:x,y[@t]`."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.errors import NoFace
from core.who import check_face
from face_detection.faces import Faces
from face_detection.track import FaceTrack


@dataclass(frozen=True)
class FaceQuery:
    """Says which face is meant, by the frames that are shown of a video; where nobody is in them, by all it knows.

    largest  who fills most of them, in size and in time
    center   who is the nearest to the middle of the picture in most of them
    index    number `index` of the contact sheet (--list_faces), the largest is 0
    point    who covers the pixel (x, y) of the upright picture in most frames, or who is nearest to it at `seconds`
    """

    how: Literal["largest", "center", "index", "point"]
    index: int = 0
    point: tuple[float, float] = (0.0, 0.0)
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> "FaceQuery":
        """BadInput if it is none of the four forms."""
        return cls(*check_face(text))

    @property
    def needs_all(self) -> bool:
        """Whether the whole video must be searched: the numbers of a contact sheet are those of all its frames."""
        return self.how == "index"

    def choose(self, faces: Faces, size: tuple[int, int], fps: Fraction) -> FaceTrack:
        """The track that is meant; size: (height, width) of the picture.  NoFace if there is none."""
        if not faces.tracks:
            raise NoFace("no face was found; use a video that shows one from the front, or say where with --box")
        if self.how == "index":
            if self.index >= len(faces):
                raise NoFace(f"--face index:{self.index}: the highest number is {len(faces) - 1}; see --list_faces")
            return faces.tracks[self.index]
        if self.how == "point":
            return self._pointed_at(faces, fps)
        if self.how == "center":
            distances = np.stack([_distances(track, (size[1] / 2, size[0] / 2)) for track in faces.tracks])
            here = _shown(faces, np.isfinite(distances))
            return faces.tracks[int(np.bincount(distances.argmin(axis=0)[here]).argmax())]
        return faces.tracks[0]

    def _pointed_at(self, faces: Faces, fps: Fraction) -> FaceTrack:
        if self.seconds is None:
            covers = np.stack([_covers(track, self.point) for track in faces.tracks])
            if not covers.any():
                raise NoFace("--face point: no face is ever there; see --list_faces for who is where")
            return faces.tracks[int(covers[:, _shown(faces, covers)].sum(axis=1).argmax())]
        frame = min(max(round(self.seconds * fps), 0), faces.frames - 1)
        distances = [_distances(track, self.point)[frame] for track in faces.tracks]
        if not np.isfinite(distances).any():
            raise NoFace(f"--face point: no face at {self.seconds:g} s; see --list_faces for who is there when")
        return faces.tracks[int(np.argmin(distances))]


def _shown(faces: Faces, there: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """bool [n]: of the frames where anybody is meant, bool [people, n], those that are shown, or else all."""
    frames = np.arange(there.shape[1])
    anybody = np.asarray(there.any(axis=0), np.bool_)
    inside = anybody & (frames >= faces.shown[0]) & (frames < faces.shown[1])
    return inside if inside.any() else anybody


def _distances(track: FaceTrack, point: tuple[float, float]) -> npt.NDArray[np.float64]:
    """f64 [n]: pixels from the middle of the face to the point, infinite where there is none."""
    middles = (track.boxes[:, :2].astype(np.float64) + track.boxes[:, 2:]) / 2
    apart = np.hypot(middles[:, 0] - point[0], middles[:, 1] - point[1])
    return np.asarray(np.nan_to_num(apart, nan=np.inf), np.float64)


def _covers(track: FaceTrack, point: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """bool [n]: whether the point is in the box."""
    inside = (track.boxes[:, :2] <= point) & (track.boxes[:, 2:] > point)
    return np.asarray(inside.all(axis=1), np.bool_)
