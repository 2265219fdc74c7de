"""CSIM: whether it is still the same person, by the cosine of a face recogniser's embeddings.

The papers use ArcFace, whose published weights (InsightFace) may be used for non-commercial research only.  SFace
(Zhong et al. 2021) is published by OpenCV under Apache-2.0: its figure bears its name, and is none of the papers'.
"""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import Unreadable

from ..video_sample import VideoSample
from .metric import Figure, MetricSpec, clip_mean

MOMENTS = 8  # of a clip at which it is asked


class Identity(Protocol):
    """Says who is seen."""

    name: str

    def embed(self, picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """picture u8 [h, w, 3] RGB -> f32 [d], near for one person; None where no face is found."""
        ...


class SFace:
    """OpenCV's SFace, on faces that YuNet finds and aligns."""

    name = "SFace"

    def __init__(self, recogniser: Path, detector: Path) -> None:
        """Two ONNX files.  Raises BadInput if one is not what its name says."""
        try:
            self._recogniser = cv2.FaceRecognizerSF.create(str(recogniser), "")
            self._detector = cv2.FaceDetectorYN.create(str(detector), "", (1, 1))
        except cv2.error as problem:
            raise Unreadable(f"{recogniser}: not readable with {detector.name}; download both again") from problem

    def embed(self, picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """See `Identity`."""
        bgr = np.ascontiguousarray(picture[..., ::-1])
        self._detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, faces = self._detector.detect(bgr)
        if faces is None:
            return None
        largest = max(faces, key=lambda face: face[2] * face[3])
        return np.asarray(self._recogniser.feature(self._recogniser.alignCrop(bgr, largest)), np.float32).ravel()


def metric_specs(identity: Identity) -> list[MetricSpec]:
    """CSIM by this recogniser."""
    return [clip_mean(figure(identity.name), lambda real, fake: csim(identity, real, fake))]


def figure(name: str) -> Figure:
    """The figure of the recogniser of this name."""
    source = f"cosine of {name}'s embeddings of result and real video at {MOMENTS} moments; mean"
    return Figure(f"CSIM ({name})", "", "up", source, paired=True)


def csim(identity: Identity, real: VideoSample, fake: VideoSample) -> float | None:
    """Mean cosine at moments spread over the clip; None if no face is found at any."""
    moments = np.linspace(0, len(real) - 1, min(MOMENTS, len(real))).astype(int)
    pairs = [(identity.embed(real.wide[k]), identity.embed(fake.wide[k])) for k in moments]
    cosines = [
        float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in pairs if a is not None and b is not None
    ]
    return float(np.mean(cosines)) if cosines else None
