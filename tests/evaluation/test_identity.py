"""CSIM is a cosine of who is seen; SFace is spoken to through OpenCV."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from core.errors import Unreadable
from evaluation.metrics.identity import MOMENTS, SFace, csim, metric_specs
from tests.helpers.failing import fails
from tests.helpers.video_samples import noise, video_sample


class Colour:
    """Takes people for their mean colour; black is nobody."""

    name = "colour"

    def __init__(self) -> None:
        self.asked = 0

    def embed(self, picture: np.ndarray) -> np.ndarray | None:
        self.asked += 1
        return picture.reshape(-1, 3).mean(axis=0) if picture.any() else None


def painted(t: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (t, 224, 224, 3)).copy()


def test_csim_is_the_mean_cosine_at_moments_spread_over_the_clip() -> None:
    identity = Colour()
    real, fake = painted(30, (100, 0, 0)), painted(30, (100, 0, 0))
    fake[15:] = (0, 100, 0)
    found = csim(identity, video_sample(noise(30), wide=real), video_sample(noise(30), wide=fake))
    assert found == pytest.approx(0.5) and identity.asked == 2 * MOMENTS
    fake[:15] = 0  # nobody there
    assert csim(identity, video_sample(noise(30), wide=real), video_sample(noise(30), wide=fake)) == 0
    assert csim(identity, video_sample(noise(3), wide=0 * real[:3]), video_sample(noise(3), wide=fake[:3])) is None
    assert metric_specs(identity)[0].figure.name == "CSIM (colour)"


def test_sface_takes_the_largest_face_aligned_in_bgr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []

    def detect(picture: np.ndarray) -> tuple[int, np.ndarray | None]:
        seen.append(picture[0, 0].tolist())
        return 1, np.array([[0, 0, 5, 5], [0, 0, 9, 9]], np.float32) if picture.any() else None

    detector = SimpleNamespace(setInputSize=lambda size: seen.append(size), detect=detect)
    recogniser = SimpleNamespace(alignCrop=lambda picture, face: face, feature=lambda face: face[None])
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: detector)
    monkeypatch.setattr(cv2.FaceRecognizerSF, "create", lambda *_: recogniser)
    sface = SFace(tmp_path / "sface.onnx", tmp_path / "yunet.onnx")
    picture = np.zeros((6, 8, 3), np.uint8)
    assert sface.embed(picture) is None
    picture[:] = (1, 2, 3)
    assert sface.embed(picture).tolist() == [0, 0, 9, 9]
    assert seen == [(8, 6), [0, 0, 0], (8, 6), [3, 2, 1]]


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sface.onnx").write_bytes(b"none")
    with fails(Unreadable, "sface.onnx"):
        SFace(tmp_path / "sface.onnx", tmp_path / "sface.onnx")
