"""MediaPipe's points come from a program in another environment."""

import sys
from pathlib import Path

import numpy as np

from core.errors import BadInput, BadValue
from face_detection.mediapipe_client import MediaPipe, in_margin
from tests.helpers.failing import fails


def python(folder: Path, package: str) -> Path:
    """An interpreter whose mediapipe is this package."""
    (folder / "mediapipe.py").write_text(package)
    program = folder / "python"
    program.write_text(
        f"#!{sys.executable}\nimport runpy, sys\nsys.path.insert(0, {str(folder)!r})\n"
        "sys.argv = sys.argv[2:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    program.chmod(0o755)
    return program


PACKAGE = '''
from types import SimpleNamespace as N
import os
class Landmarker:
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def detect(self, picture):
        if picture[0, 0, 0] == 13: os._exit(1)
        point = N(x=picture[0, 0, 0] / 100, y=picture[0, 0, 1] / 100, z=0.5)
        return N(face_landmarks=[[point] * 478] if picture.any() else [])
vision = N(
    FaceLandmarkerOptions=lambda base_options: base_options,
    FaceLandmarker=N(create_from_options=lambda options: Landmarker()),
)
tasks = N(vision=vision, BaseOptions=lambda model_asset_path: model_asset_path)
ImageFormat = N(SRGB=1)
Image = lambda kind, picture: picture
'''


def test_mediapipe_answers_from_another_environment(tmp_path: Path) -> None:
    pictures = np.zeros((3, 8, 10, 3), np.uint8)
    pictures[0, 0, 0], pictures[2, 0, 0] = (50, 25, 0), (10, 20, 0)
    with MediaPipe(python(tmp_path, PACKAGE), tmp_path / "face_landmarker.task") as landmarks:
        assert landmarks.find(pictures).shape == (3, 20, 2)
        for _ in range(2):
            found = landmarks.find(pictures)
            assert np.allclose(found[0], (5, 2)) and np.isnan(found[1]).all() and np.allclose(found[2], (1, 1.6))
        pictures[0, 0, 0] = 13
        with fails(BadInput, "MediaPipe"):
            landmarks.find(pictures)
        with fails(BadInput, "MediaPipe"):
            landmarks.find(np.zeros((500, 100, 100, 3), np.uint8))
    with MediaPipe(python(tmp_path, PACKAGE), tmp_path / "face_landmarker.task", (13, 14, 152)) as landmarks:
        found = landmarks.find_in_space(pictures[2:])
        assert found.shape == (1, 3, 3) and np.allclose(found, (1, 1.6, 5))


def test_without_mediapipe_the_remedy_is_named(tmp_path: Path) -> None:
    with fails(BadInput, "python", "pip install mediapipe in an environment of its own"):
        MediaPipe(python(tmp_path, "raise ImportError"), tmp_path / "face_landmarker.task")
    with fails(BadValue, "--mediapipe_python"):
        MediaPipe(tmp_path / "nothing", tmp_path / "face_landmarker.task")


def test_a_margin_is_the_pictures_own_edge() -> None:
    faces = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    wide = in_margin(faces, 3)
    assert wide.shape == (2, 10, 11, 3) and (wide[:, 3:-3, 3:-3] == faces).all()
    assert (wide[:, 0, 0] == faces[:, 0, 0]).all()
    assert (in_margin(faces, 0) == faces).all()
