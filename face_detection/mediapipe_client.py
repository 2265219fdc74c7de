"""MediaPipe's landmarks, found by a program in another environment (see mediapipe_points.py)."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.arrays import Pictures
from core.errors import BadInput, BadValue

from .mediapipe_points import MOUTH, READY

Points = NDArray[np.float32]

MARGIN = 64  # pixels of their own edge around face crops: MediaPipe's detector wants faces smaller than the picture
PROGRAM = Path(__file__).with_name("mediapipe_points.py")


class MediaPipe:
    """The landmarker at work, as a context: the program ends with it."""

    name = "MediaPipe"

    def __init__(self, python: Path, weights: Path, points: Sequence[int] = MOUTH) -> None:
        """python: an interpreter that has mediapipe; points: which of its 478 are wanted.

        Raises BadInput if that cannot be started or has not.
        """
        command = [str(python), "-I", str(PROGRAM), str(weights)]  # -I: our folder is not on its path
        command += map(str, points)
        self._points = len(points)
        try:
            self._program = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as problem:
            raise BadValue(
                f"--mediapipe_python {python}: cannot be run ({problem.strerror}); give the python of an environment"
                " that has mediapipe"
            ) from problem
        if self._read(len(READY)) != READY:
            self._end()
            raise BadInput(
                f"{python}: mediapipe does not run there with {weights.name}; pip install mediapipe in an environment"
                " of its own (it needs another OpenCV) and pass its python with --mediapipe_python"
            )

    def find(self, pictures: Pictures) -> Points:
        """pictures u8 [t, h, w, 3] RGB -> f32 [t, p, 2], (x, y) in pixels, NaN where it finds no face.

        Raises BadInput if the program has died.
        """
        return self.find_in_space(pictures)[..., :2].copy()

    def find_in_space(self, pictures: Pictures) -> Points:
        """As `find`, of all chosen points: f32 [t, p, 3], z in pixels too."""
        count, height, width, _ = pictures.shape
        try:
            self._send(np.array([count, height, width], np.int32).tobytes())
            self._send(np.ascontiguousarray(pictures).tobytes())
        except BrokenPipeError as problem:
            raise BadInput("MediaPipe's program has ended early; see what mediapipe says when run by hand") from problem
        size = count * self._points * 3 * 4
        answer = self._read(size)
        if len(answer) < size:
            raise BadInput("MediaPipe's program has ended early; see what mediapipe says when run by hand")
        return np.frombuffer(answer, np.float32).reshape(count, self._points, 3).copy()

    def _send(self, message: bytes) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(message)
        self._program.stdin.flush()

    def _read(self, size: int) -> bytes:
        assert self._program.stdout is not None
        return self._program.stdout.read(size)

    def _end(self) -> None:
        self._program.kill()
        self._program.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()


def in_margin(faces: Pictures, margin: int = MARGIN) -> Pictures:
    """Face crops u8 [t, h, w, 3] with so many pixels of their own edge around them, so that MediaPipe finds them."""
    return np.pad(faces, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge")
