"""With all weights at hand every figure is measured, and each by the file of its name."""

from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from core.errors import BadInput
from evaluation import suite, weights
from evaluation.metrics.metric import Metric
from evaluation.metrics.syncnet import SyncScore
from evaluation.pair_scores import VIDEOS
from evaluation.protocol import PROTOCOLS
from evaluation.suite import Tools, assemble


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """All weights are there; the networks are nobody's.  Name -> the file that was asked for."""
    found: dict[str, Path] = {}

    def locate(store: weights.WeightStore, name: str) -> Path:
        return found.setdefault(name, Path(weights.TABLE[name].names[0]))

    def loads(name: str, made: Any) -> SimpleNamespace:
        return SimpleNamespace(load=lambda path, device: made if path == found[name] else None)

    monkeypatch.setattr(weights.WeightStore, "locate", locate)
    monkeypatch.setattr(suite, "InceptionFeatures", loads("inception", "features"))
    monkeypatch.setattr(suite, "VideoFeatures", lambda path, device: "features")
    monkeypatch.setattr(suite.syncnet, "SyncScore", loads("syncnet", SyncScore(nn.Identity(), torch.device("cpu"))))
    monkeypatch.setattr(suite, "Fan", SimpleNamespace(name="FAN", load=loads("fan", SimpleNamespace(name="FAN")).load))
    monkeypatch.setattr(suite, "MediaPipe", lambda python, path, points: nullcontext())
    monkeypatch.setattr(suite, "load_checkpoint", lambda path: SimpleNamespace(weights={}))
    monkeypatch.setattr(suite, "Lpips", lambda weights, where: nn.Identity())
    monkeypatch.setattr(suite.identity, "SFace", lambda *files: SimpleNamespace(name="SFace"))
    return found


def metric_specs(protocol: str) -> dict[str, Metric | None]:
    with ExitStack() as stack:
        made = assemble(PROTOCOLS[protocol], Tools(), stack)
    return {spec.figure.name: spec.make and spec.make() for spec in made.metric_specs}


def test_every_figure_is_measured_and_says_so_itself(asked: dict[str, Path]) -> None:
    found = metric_specs("diff2lip-reconstruction")
    lacking = [name for name, metric in found.items() if metric is None]
    assert lacking == ["sync expert's cosine"]
    assert all(metric.figure.name == name for name, metric in found.items() if metric)
    assert set(asked) == set(weights.TABLE)
    assert "LMD (MediaPipe)" not in found  # FAN comes first


def test_nothing_is_loaded_for_what_a_setting_does_not_have(asked: dict[str, Path]) -> None:
    found = metric_specs("diff2lip-cross")
    assert "alexnet" not in asked and not {"PSNR", "LPIPS", "LMD (FAN)"} & set(found)
    assert {"FID", "LSE-C", "LSE-D", "leakage (FAN)", "silence motion (FAN)"} <= set(found)


def test_without_fan_mediapipe_finds_the_mouths_under_its_own_name(
    asked: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(path: Path, device: torch.device) -> None:
        raise BadInput("weights: fan")

    monkeypatch.setattr(suite, "Fan", SimpleNamespace(name="FAN", load=nothing))
    found = metric_specs("lrw-reconstruction")
    assert found["LMD (FAN)"] is None and found["LMD (MediaPipe)"] is not None
    assert "silence motion (FAN)" not in found and found["lip opening, r"] is not None


def test_faces_are_detected_where_the_protocol_says_so(
    asked: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "load_detector", lambda name, device, say: f"{name} on {device}")
    with ExitStack() as stack:
        assert assemble(PROTOCOLS["cross"], Tools(), stack).finders.detector == "auto on cpu"
        assert assemble(PROTOCOLS["wav2lip-cross"], Tools(), stack).finders.detector is None
        assert assemble(VIDEOS, Tools(), stack).finders.detector == "auto on cpu"
