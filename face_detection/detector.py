"""What every face detector does, and the framing that they all share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.arrays import Picture
from face_detection.box import Box, Detection, voxceleb2_box

_FACE = voxceleb2_box(224, 224)
ASPECT = _FACE.width / _FACE.height
"""Width / height of every calibrated box: 124 / 158, that of a VoxCeleb2 face."""


class Detector(Protocol):
    """Finds faces in pictures."""

    name: str

    def detect(self, frames: Sequence[Picture]) -> list[list[Detection]]:
        """frames: HWC u8 RGB, of one size -> per frame its faces in pixels of that frame, best first.

        The boxes are calibrated: framed as `voxceleb2_box` frames a VoxCeleb2 video, whatever the back end.
        """
        ...


@dataclass(frozen=True)
class BoxCalibration:
    """The affine map from one back end's idea of a face to the framing of VoxCeleb2, in units of its box's height.

    The height alone is the unit: the width of a detector's box shrinks as the head turns, that of a VoxCeleb2 crop does
    not.  The constants are medians over speakers of the train clips, by scripts/calibrate_detectors.py.
    """

    x: float
    y: float
    height: float

    def apply(self, found: Box) -> Box:
        """The back end's box -> the calibrated one."""
        x, y = found.centre
        height = self.height * found.height
        return Box.centred(x + self.x * found.height, y + self.y * found.height, ASPECT * height, height)


def best_first(detections: Sequence[Detection]) -> list[Detection]:
    """By falling score; of equals the larger face."""
    return sorted(detections, key=lambda detection: (-detection.score, -detection.box.area))
