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

from .clip import FaceFinders
from .framing import is_detected
from .metrics import expert, fidelity, frechet, identity, lips, mouth, syncnet
from .metrics.i3d import VideoFeatures
from .metrics.inception import InceptionFeatures
from .metrics.landmarks import Fan, Landmarks
from .metrics.lip_points import POINTS, LipPoints
from .metrics.metric import Figure, MetricSpec, clip_mean
from .protocol import Protocol
from .weights import WeightStore

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

    metric_specs: Sequence[MetricSpec]
    finders: FaceFinders
    weights: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)


def assemble(protocol: Protocol, tools: Tools, stack: ExitStack) -> Suite:
    """All figures that are defined in the protocol's setting; those that lack something say what.

    stack: what has to be ended after the measuring is.  Raises BadInput for an expert that is none.
    """
    store = WeightStore(tools.folders)
    lip_points, lip_figures = _lips(tools, store, stack)
    landmarks, mouths = _landmarks(tools, store, lip_points, lip_figures)
    detector = _detector(tools) if is_detected(protocol.framing) else None

    def needing(figures: Sequence[Figure], build: Callable[[Tools, WeightStore], list[MetricSpec]]) -> list[MetricSpec]:
        """What `build` makes, or the same figures with what it lacks; nothing is loaded for another setting."""
        defined = [figure for figure in figures if protocol.setting in figure.settings]
        try:
            return build(tools, store) if defined else []
        except BadInput as problem:
            return [MetricSpec(figure, missing=str(problem)) for figure in defined]

    metric_specs = [
        *needing([frechet.FID], _fid),
        *needing([frechet.FVD], _fvd),
        *fidelity.metric_specs(),
        *needing([fidelity.LPIPS], _lpips),
        *needing([identity.figure("SFace")], _identity),
        *needing([syncnet.CONFIDENCE, syncnet.DISTANCE, syncnet.OFFSET], _syncnet),
        *_expert(tools, store),
        *mouths,
        *lip_figures,
    ]
    defined = [spec for spec in metric_specs if protocol.setting in spec.figure.settings]
    return Suite(defined, FaceFinders(protocol, detector, landmarks, lip_points), store.taken, store.lacking)


def _fid(tools: Tools, store: WeightStore) -> list[MetricSpec]:
    features = InceptionFeatures.load(store.locate("inception"), tools.device)
    return [MetricSpec(frechet.FID, lambda: frechet.Frechet(frechet.FID, features))]


def _fvd(tools: Tools, store: WeightStore) -> list[MetricSpec]:
    features = VideoFeatures(store.locate("i3d"), tools.device)
    return [MetricSpec(frechet.FVD, lambda: frechet.Frechet(frechet.FVD, features))]


def _lpips(tools: Tools, store: WeightStore) -> list[MetricSpec]:
    path = store.locate("alexnet")
    network = Lpips(load_checkpoint(path).weights, str(path)).to(tools.device)
    return [clip_mean(fidelity.LPIPS, fidelity.lpips(network, tools.device))]


def _identity(tools: Tools, store: WeightStore) -> list[MetricSpec]:
    files = [store.locate(name) for name in ("sface", "yunet")]
    return identity.metric_specs(identity.SFace(*files))


def _syncnet(tools: Tools, store: WeightStore) -> list[MetricSpec]:
    return syncnet.SyncScore.load(store.locate("syncnet"), tools.device).metric_specs()


def _expert(tools: Tools, store: WeightStore) -> list[MetricSpec]:
    if tools.expert is None:
        return [MetricSpec(NO_EXPERT, missing="weights: a sync expert; train one with train.py, or pass --expert FILE")]
    return expert.ExpertScore.load(store.take(tools.expert), tools.device).metric_specs()


def _lips(tools: Tools, store: WeightStore, stack: ExitStack) -> tuple[LipPoints | None, list[MetricSpec]]:
    """Who finds the lips, and the figures of them."""
    try:
        landmarker = MediaPipe(tools.mediapipe_python, store.locate("mediapipe"), POINTS)
    except BadInput as problem:
        return None, [MetricSpec(spec.figure, missing=str(problem)) for spec in lips.metric_specs()]
    return LipPoints(stack.enter_context(landmarker)), lips.metric_specs()


def _landmarks(
    tools: Tools, store: WeightStore, finder: LipPoints | None, lip_figures: Sequence[MetricSpec]
) -> tuple[Landmarks | None, list[MetricSpec]]:
    """Who finds the mouths, FAN if it is there, else MediaPipe, and the figures; LMD by FAN is named in any case."""
    try:
        fan = Fan.load(store.locate("fan"), tools.device)
        return fan, mouth.metric_specs(fan.name)
    except BadInput as problem:
        without = [MetricSpec(spec.figure, missing=str(problem)) for spec in mouth.metric_specs(Fan.name)]
    if finder is not None:
        return finder, [*without[:1], *mouth.metric_specs(finder.name)]
    lacking = [MetricSpec(spec.figure, missing=lip_figures[0].missing) for spec in mouth.metric_specs(MediaPipe.name)]
    return None, [*without[:1], *lacking]


def _detector(tools: Tools) -> Detector:
    return load_detector(tools.detector, device=str(tools.device), say=NOTES.warning)
