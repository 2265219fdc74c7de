"""YuNet (Wu et al. 2023, Machine Intelligence Research) through OpenCV's FaceDetectorYN: small, quick on a CPU."""

from collections.abc import Sequence
from pathlib import Path

import cv2

from core.arrays import Picture
from core.errors import Unreadable
from face_detection.box import Box, Detection
from face_detection.detector import BoxCalibration, best_first

CALIBRATION = BoxCalibration(0.003, -0.032, 1.071)
SURE = 0.6
OVERLAP = 0.3


class YuNetDetector:
    """YuNet on the CPU, whatever the device of the rest."""

    name = "yunet"

    def __init__(self, weights: Path) -> None:
        try:
            self._network = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), SURE, OVERLAP)
        except cv2.error as error:
            raise Unreadable(
                f"{weights}: no YuNet network that OpenCV can read; delete it and fetch it again"
            ) from error

    def detect(self, frames: Sequence[Picture]) -> list[list[Detection]]:
        """See `Detector`.  Scores lie in [0.6, 1]."""
        return [self._detect_one(frame) for frame in frames]

    def _detect_one(self, frame: Picture) -> list[Detection]:
        self._network.setInputSize((frame.shape[1], frame.shape[0]))
        _, rows = self._network.detect(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        detections = []
        for row in rows if rows is not None else ():  # x, y, width, height, five points, score
            x, y, width, height = (float(value) for value in row[:4])
            if width > 0 and height > 0:
                detections.append(Detection(CALIBRATION.apply(Box(x, y, x + width, y + height)), float(row[14])))
        return best_first(detections)
