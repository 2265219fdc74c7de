"""Which detector: by name, or the best that is at hand."""

import logging
from collections.abc import Callable
from pathlib import Path

from errors import BadInput
from face_detection import weights
from face_detection.detector import Detector
from face_detection.haar import HaarDetector

NAMES = ("auto", "haar", "yunet", "retinaface", "blazeface", "s3fd")

# Best first; every one finds more faces than haar.  YuNet frames a face as well as RetinaFace does and is the quickest
# on a CPU, where S3FD takes seconds a frame; on a GPU the networks that run there come first.  BlazeFace only on
# request.
ON_CPU = ("yunet", "retinaface", "s3fd")
ON_GPU = ("retinaface", "s3fd", "yunet")
FETCHED = "yunet"
"""What `auto` fetches where nothing is on disk: a quarter of a megabyte."""


_log = logging.getLogger(__name__)


def load_detector(name: str = "auto", *, device: str = "cpu", say: Callable[[str], None] = _log.warning) -> Detector:
    """A detector with calibrated boxes, corrected.  device: as torch spells it; haar and yunet run on the CPU anyway.

    `auto` takes the best whose weights are on disk, else fetches YuNet, else falls back to haar; `say` is told in one
    sentence what is fetched and of a fall back.  Raises BadInput for a name unknown here and where a detector asked for
    by name has no weights on disk nor within reach.
    """
    from face_detection.reframing import Reframed, load_framing  # torch loads with it

    if name == "auto":
        found = _best(device, say)
    elif name == "haar":
        found = HaarDetector()
    elif name in NAMES:
        found = _build(name, weights.obtain(name, say=say), device)
    else:
        raise BadInput(f"--face_detector {name}: there is no such detector; choose one of {', '.join(NAMES)}")
    return Reframed(found, load_framing())


def _best(device: str, say: Callable[[str], None]) -> Detector:
    for name in ON_CPU if device == "cpu" else ON_GPU:
        if path := weights.find(name):
            return _build(name, path, device)
    try:
        return _build(FETCHED, weights.obtain(FETCHED, say=say), device)
    except BadInput as problem:
        say(f"using the face detector haar, which sees less, because of this: {problem}")
        return HaarDetector()


def _build(name: str, path: Path, device: str) -> Detector:
    """The back end with its weights.  Imports are here, so that nobody waits for a library that is not used."""
    if name == "yunet":
        from face_detection.yunet import YuNetDetector

        return YuNetDetector(path)
    try:
        from face_detection import networks

        builders: dict[str, Callable[[Path, str], Detector]] = {
            "retinaface": networks.retinaface,
            "s3fd": networks.s3fd,
            "blazeface": networks.BlazeFaceDetector,
        }
        return builders[name](path, device)
    except ModuleNotFoundError as error:
        raise BadInput(
            f"--face_detector {name}: the package {error.name} is missing; "
            "pip install face-alignment, or pass --face_detector haar"
        ) from error
