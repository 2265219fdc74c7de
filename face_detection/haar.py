"""OpenCV's Haar cascades: no weights to fetch, OpenCV 4 ships them.  The fallback of all other back ends.

OpenCV 5 moved them out of its main build (into opencv-contrib-python, since 5.1), so nothing here may name them before
somebody asks for this back end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from core.arrays import Picture
from core.errors import NotFound
from face_detection.box import Box, Detection
from face_detection.detector import BoxCalibration, best_first

# The image pyramid.  On real clips a step of 1.05 instead of 1.1 takes a fifth off the jitter of the box's size and
# finds a few more faces; 1.03 gains nothing more.
SCALE_STEP = 1.05
NEIGHBOURS = 3
SMALLEST = 0.06
"""The smallest face that is looked for, as a share of the longer side of the picture."""


@dataclass(frozen=True)
class Cascade:
    """One cascade file, its calibration, and the level weights between which a sure face is told from a chance one."""

    file: str
    calibration: BoxCalibration
    doubtful: float  # the median weight of false positives on real videos, below which a detection is dropped
    sure: float  # the median weight of true faces there

    def load(self) -> "cv2.CascadeClassifier":
        """The classifier.  Raises BadInput where this OpenCV has no cascades."""
        try:
            from cv2 import data  # in the builds of PyPI alone

            classifier = cv2.CascadeClassifier(str(Path(data.haarcascades) / self.file))
        except (ImportError, AttributeError):
            classifier = None
        if classifier is None or classifier.empty():
            raise NotFound(
                f"OpenCV {cv2.__version__} came without {self.file}, which the face detector haar needs; "
                "pip install 'opencv-python<5'"
            )
        return classifier


# alt2 frames a face most evenly and errs least; default finds more of the faces that are tilted or have their eyes
# shut, so it is asked where alt2 saw nothing.  Of the faces that both miss, the profile cascade finds next to none, and
# it doubles the false positives: left out.  So is equalising the histogram: the cascades normalise each window's
# variance themselves, and on the clips it widens the spread of the size.
FRONTAL = Cascade("haarcascade_frontalface_alt2.xml", BoxCalibration(-0.002, -0.016, 1.227), doubtful=55.3, sure=57.4)
TILTED = Cascade("haarcascade_frontalface_default.xml", BoxCalibration(-0.002, -0.018, 1.192), doubtful=2.5, sure=9.2)


class HaarDetector:
    """Frontal faces by boosted Haar features (Viola and Jones 2001)."""

    name = "haar"

    def __init__(self, cascades: Sequence[Cascade] = (FRONTAL, TILTED)) -> None:
        """cascades: asked in turn, until one finds a face.  Raises BadInput where this OpenCV has none."""
        self._cascades = [(cascade, cascade.load()) for cascade in cascades]

    def detect(self, frames: Sequence[Picture]) -> list[list[Detection]]:
        """See `Detector`.  Scores lie in (0, 1]."""
        return [self._detect_one(frame) for frame in frames]

    def _detect_one(self, frame: Picture) -> list[Detection]:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
        for cascade, classifier in self._cascades:
            if detections := _found(cascade, classifier, grey):
                return best_first(detections)
        return []


def _found(cascade: Cascade, classifier: "cv2.CascadeClassifier", grey: npt.NDArray[np.uint8]) -> list[Detection]:
    smallest = max(round(SMALLEST * max(grey.shape)), 20)
    corners, _, weights = classifier.detectMultiScale3(
        grey, SCALE_STEP, NEIGHBOURS, minSize=(smallest, smallest), outputRejectLevels=True
    )
    detections = []
    for (x, y, width, height), weight in zip(corners, np.ravel(weights), strict=True):
        score = min((float(weight) - cascade.doubtful) / (cascade.sure - cascade.doubtful), 1.0)
        if score > 0:
            box = Box(float(x), float(y), float(x + width), float(y + height))
            detections.append(Detection(cascade.calibration.apply(box), score))
    return detections
