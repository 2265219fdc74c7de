"""Which detector: by name, or the best that is at hand."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import BadInput, BadValue, NotFound
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

    `auto` takes the best that is at hand, else fetches YuNet, else falls back to haar; `say` is told in one sentence
    what was fetched, or why it is not the best that is taken.  Where it cannot be fetched that is not tried, nor said,
    for a week.  Raises BadInput for a name unknown here, where a
    detector asked for by name is not at hand nor within reach, and where `auto` finds none at all.
    """
    from face_detection.reframing import BoxRefiner, load_framing  # torch loads with it

    if name not in NAMES:
        raise BadValue(f"--face_detector {name}: there is no such detector; choose one of {', '.join(NAMES)}")
    return BoxRefiner(_best(device, say) if name == "auto" else _named(name, device, say), load_framing())


def _best(device: str, say: Callable[[str], None]) -> Detector:
    """The first that can be had: those whose weights are on disk, what can be fetched, haar."""
    on_disk = [name for name in (ON_CPU if device == "cpu" else ON_GPU) if weights.find(name)]
    problems: list[BadInput] = []
    fetch = FETCHED not in on_disk and not weights.given_up(FETCHED)
    for name in dict.fromkeys([*on_disk, *([FETCHED] if fetch else []), "haar"]):
        try:
            detector = _named(name, device, say if name in on_disk else _unsaid)
        except BadInput as problem:
            problems.append(problem)
            if name not in on_disk and name == FETCHED:
                weights.give_up(name)
        else:
            if fetch and name == FETCHED:
                say(weights.fetched(name))
            if problems:
                less = ", which sees less," if name == "haar" else ""
                later = "; it is not tried again for a week" if fetch and weights.given_up(FETCHED) else ""
                say(f"using the face detector {name}{less} because of this: {_joined(problems)}{later}")
            return detector
    raise NotFound(f"there is no face detector at hand; mend one of these: {_joined(problems)}")


def _unsaid(sentence: str) -> None:
    """What is tried is not said, but what came of it."""


def _joined(problems: Sequence[BadInput]) -> str:
    return "; ".join(map(str, problems))


def _named(name: str, device: str, say: Callable[[str], None]) -> Detector:
    """The back end with its weights.  Imports are here, so that nobody waits for a library that is not used."""
    if name == "haar":
        return HaarDetector()
    path = weights.obtain(name, say=say)
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
        raise NotFound(
            f"the package {error.name}, which the face detector {name} needs, is missing; pip install face-alignment"
        ) from error
