"""Networks as ONNX: each that ships is listed, what differs is not written, and missing packages are a sentence."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from core.errors import BadInput, NotFound
from lipsync.onnx import exporting
from lipsync.onnx.runtime import load_runtime
from scripts import export_onnx
from scripts.export_onnx import Network, Part
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded

NEEDED = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="requirements-onnx.txt is not installed",
)


@seeded()
def tiny() -> Network:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU())
    return Network(Part(network, network.forward).eval().requires_grad_(False), {"faces": (3, 8, 8)}, {})


@pytest.mark.slow
def test_every_checkpoint_that_ships_is_among_them() -> None:
    names = export_onnx.networks().keys()
    for start in ("style-medium-denoiser", "style-medium-predictor", "style-medium-ears", "style-medium-reader",
                  "diff2lip-small-denoiser", "syncdiff-small-denoiser", "sync-faces", "sync-sound", "landmarks",
                  "framing"):  # fmt: skip
        assert start in names


@pytest.mark.slow
def test_what_is_fed_fits_every_network() -> None:
    with torch.inference_mode():
        for name, network in export_onnx.networks().items():
            made = network.module(*network.inputs(1).values())
            assert len(made[0] if isinstance(made, tuple) else made) == 1, name


@pytest.mark.slow
@NEEDED
@pytest.mark.filterwarnings("ignore")
def test_a_network_goes_there_and_says_the_same_for_any_number_of_items(tmp_path: Path) -> None:
    network = tiny()
    path = tmp_path / "new" / "tiny.onnx"
    assert export_onnx.export(network, path) < 1e-5
    session = load_runtime("here").open(path, torch.device("cpu"))
    assert all(exporting.difference(network.module, session, network.inputs(items)) < 1e-5 for items in (1, 5))
    assert set(export_onnx.timed(network, path)) > {"torch fp32", "onnxruntime"}


@pytest.mark.slow
@NEEDED
@pytest.mark.filterwarnings("ignore")
def test_one_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "difference", lambda *given: 0.1)
    with fails(BadInput, "1.0e-01"):
        export_onnx.export(tiny(), tmp_path / "tiny.onnx")
    assert list(tmp_path.iterdir()) == []


def test_packages_that_are_missing_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    for needs in (exporting.check_exporter, load_runtime):
        with fails(NotFound, "here: needs onnx", "pip install -r requirements-onnx.txt"):
            needs("here")
