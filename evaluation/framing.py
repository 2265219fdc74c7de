"""Where in each picture a protocol looks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import NoFace
from dataset.lrw import lrw_box
from face_detection import Box, Detector, track_face, voxceleb2_box
from face_detection.networks import S3FD_CALIBRATION
from video import VideoInfo, read_frames

from .protocol import ProtocolFraming


def whole_box(height: int, width: int) -> Box:
    """All of a picture."""
    return Box(0, 0, width, height)


FIXED = {"voxceleb2": voxceleb2_box, "lrw": lrw_box, "whole": whole_box}


def is_detected(framing: ProtocolFraming) -> bool:
    """Whether faces have to be looked for, by a detector."""
    return framing not in FIXED


@dataclass(frozen=True)
class CropBoxes:
    """Where one picture is cut: the face, and what SyncNet and the landmark finders see."""

    face: Box
    wide: Box

    def scaled(self, x: float, y: float) -> "CropBoxes":
        """The same in a picture whose axes were scaled by x and y."""
        return CropBoxes(self.face.scaled(x, y), self.wide.scaled(x, y))

    def place(self, size: int) -> Box:
        """Where the face is in `wide`, cut out at size x size."""
        x, y = size / self.wide.width, size / self.wide.height
        face = self.face
        return Box(
            (face.x0 - self.wide.x0) * x,
            (face.y0 - self.wide.y0) * y,
            (face.x1 - self.wide.x0) * x,
            (face.y1 - self.wide.y0) * y,
        )


def crop_boxes(
    info: VideoInfo, framing: ProtocolFraming, numbers: list[int], detector: Detector | None
) -> list[CropBoxes]:
    """What to look at in the frames of these numbers, which rise.  A detector is needed if faces are detected.

    Raises NoFace if that finds none at all; where it finds none for a while, the nearest place is held.
    """
    if not is_detected(framing):
        fixed = CropBoxes(FIXED[framing](info.height, info.width), Box(0, 0, info.width, info.height))
        return [fixed] * len(numbers)
    if detector is None:
        raise ValueError("faces are detected by a detector")
    boxes = _boxes(info.path, numbers[-1] + 1, detector)
    faces = [Box(*(float(side) for side in boxes[number])) for number in numbers]
    return [CropBoxes(face, syncnet_box(face) if framing == "face" else voxceleb2_picture(face)) for face in faces]


def syncnet_box(face: Box) -> Box:
    """The crop of SyncNet's program around a face that is framed as VoxCeleb2's.

    It takes the box of S3FD, half of whose longer side is s: the square from s above its middle to 1.8 s below, and
    1.4 s to either side.  Where that leaves the picture theirs is grey and ours repeats the border.
    """
    height = face.height / S3FD_CALIBRATION.height
    x, y = face.centre
    x, y = x - S3FD_CALIBRATION.x * height, y - S3FD_CALIBRATION.y * height
    s = max(height, face.width / S3FD_CALIBRATION.height) / 2
    return Box(x - 1.4 * s, y - s, x + 1.4 * s, y + 1.8 * s)


def voxceleb2_picture(face: Box) -> Box:
    """The picture of VoxCeleb2 in which this box would be `voxceleb2_box`: its inverse."""
    unit = voxceleb2_box(224, 224)
    x, y = face.width / unit.width, face.height / unit.height
    left, top = face.x0 - unit.x0 * x, face.y0 - unit.y0 * y
    return Box(left, top, left + 224 * x, top + 224 * y)


def _boxes(path: Path, stop: int, detector: Detector) -> NDArray[np.float32]:
    """f32 [stop, 4], one for every frame."""
    track = track_face(read_frames(path, stop=stop), detector).filled().smoothed()
    indices = np.flatnonzero(track.present)
    if not indices.size:
        raise NoFace(f"{path}: no face in it; leave the clip out, or choose a protocol with a fixed framing")
    nearest = indices[np.abs(np.arange(stop)[:, None] - indices[None, :]).argmin(axis=1)]
    boxes: NDArray[np.float32] = track.boxes[nearest]
    return boxes
