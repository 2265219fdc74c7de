"""Which figures there are, and which of them can be measured on this machine."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch

from core.errors import BadInput
from face_detection import Detector, load_detector
from face_detection.mediapipe_client import MediaPipe
from guided_diffusion.engine.checkpoint import load_checkpoint
from systems.perceptual import Lpips

from .clip import Eyes
from .metrics import expert, fidelity, frechet, identity, lips, mouth, syncnet
from .metrics.i3d import VideoFeatures
from .metrics.inception import InceptionFeatures
from .metrics.landmarks import Fan, Landmarks
from .metrics.lip_points import POINTS, LipPoints
from .metrics.metric import Column, Figure, clip_mean
from .protocol import Protocol
from .weights import Shelf

NOTES = logging.getLogger(__name__)
NO_EXPERT = Figure("sync expert's cosine", "", "up", "a sync expert of one's own: 5 frames against their sound")


@dataclass(frozen=True)
class Tools:
    """What to measure with.  folders: where weights are looked for before checkpoints/ and torch.hub's cache."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    expert: Path | None = None
    folders: Sequence[Path] = ()
    mediapipe_python: Path = field(default_factory=lambda: Path(sys.executable))
    detector: str = "auto"


@dataclass(frozen=True)
class Suite:
    """The figures of a protocol, and how its clips are to be looked at.

    weights: the files measured with -> their SHA-256; lacking: those that are not there -> where they are published.
    """

    columns: Sequence[Column]
    eyes: Eyes
    weights: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)


def assemble(protocol: Protocol, tools: Tools, stack: ExitStack) -> Suite:
    """All figures that are defined in the protocol's setting; those that lack something say what.

    stack: what has to be ended after the measuring is.  Raises BadInput for an expert that is none.
    """
    shelf = Shelf(tools.folders)
    lip_points, lip_figures = _lips(tools, shelf, stack)
    landmarks, mouths = _landmarks(tools, shelf, lip_points, lip_figures)
    detector = _detector(tools) if protocol.framing == "face" else None

    def needing(figures: Sequence[Figure], build: Callable[[Tools, Shelf], list[Column]]) -> list[Column]:
        """What `build` makes, or the same figures with what it lacks; nothing is loaded for another setting."""
        defined = [figure for figure in figures if protocol.setting in figure.settings]
        try:
            return build(tools, shelf) if defined else []
        except BadInput as problem:
            return [Column(figure, missing=str(problem)) for figure in defined]

    columns = [
        *needing([frechet.FID], _fid),
        *needing([frechet.FVD], _fvd),
        *fidelity.columns(),
        *needing([fidelity.LPIPS], _lpips),
        *needing([identity.figure("SFace")], _identity),
        *needing([syncnet.CONFIDENCE, syncnet.DISTANCE, syncnet.OFFSET], _syncnet),
        *_expert(tools, shelf),
        *mouths,
        *lip_figures,
    ]
    defined = [column for column in columns if protocol.setting in column.figure.settings]
    return Suite(defined, Eyes(protocol, detector, landmarks, lip_points), shelf.taken, shelf.lacking)


def _fid(tools: Tools, shelf: Shelf) -> list[Column]:
    features = InceptionFeatures.load(shelf.locate("inception"), tools.device)
    return [Column(frechet.FID, lambda: frechet.Frechet(frechet.FID, features))]


def _fvd(tools: Tools, shelf: Shelf) -> list[Column]:
    features = VideoFeatures(shelf.locate("i3d"), tools.device)
    return [Column(frechet.FVD, lambda: frechet.Frechet(frechet.FVD, features))]


def _lpips(tools: Tools, shelf: Shelf) -> list[Column]:
    path = shelf.locate("alexnet")
    network = Lpips(load_checkpoint(path).weights, str(path)).to(tools.device)
    return [clip_mean(fidelity.LPIPS, fidelity.lpips(network, tools.device))]


def _identity(tools: Tools, shelf: Shelf) -> list[Column]:
    files = [shelf.locate(name) for name in ("sface", "yunet")]
    return identity.columns(identity.SFace(*files))


def _syncnet(tools: Tools, shelf: Shelf) -> list[Column]:
    return syncnet.SyncScore.load(shelf.locate("syncnet"), tools.device).columns()


def _expert(tools: Tools, shelf: Shelf) -> list[Column]:
    if tools.expert is None:
        return [Column(NO_EXPERT, missing="weights: a sync expert; train one with train.py, or pass --expert FILE")]
    return expert.ExpertScore.load(shelf.take(tools.expert), tools.device).columns()


def _lips(tools: Tools, shelf: Shelf, stack: ExitStack) -> tuple[LipPoints | None, list[Column]]:
    """Who finds the lips, and the figures of them."""
    try:
        landmarker = MediaPipe(tools.mediapipe_python, shelf.locate("mediapipe"), POINTS)
    except BadInput as problem:
        return None, [Column(column.figure, missing=str(problem)) for column in lips.columns()]
    return LipPoints(stack.enter_context(landmarker)), lips.columns()


def _landmarks(
    tools: Tools, shelf: Shelf, finder: LipPoints | None, lip_figures: Sequence[Column]
) -> tuple[Landmarks | None, list[Column]]:
    """Who finds the mouths, FAN if it is there, else MediaPipe, and the figures; LMD by FAN is named in any case."""
    try:
        fan = Fan.load(shelf.locate("fan"), tools.device)
        return fan, mouth.columns(fan.name)
    except BadInput as problem:
        without = [Column(column.figure, missing=str(problem)) for column in mouth.columns(Fan.name)]
    if finder is not None:
        return finder, [*without[:1], *mouth.columns(finder.name)]
    lacking = [Column(column.figure, missing=lip_figures[0].missing) for column in mouth.columns(MediaPipe.name)]
    return None, [*without[:1], *lacking]


def _detector(tools: Tools) -> Detector:
    return load_detector(tools.detector, device=str(tools.device), say=NOTES.warning)
