"""--backend onnx: the same frames but for rounding, exported once; what is missing or cannot be is a sentence."""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import BadInput, BadValue, NotFound
from guided_diffusion.unet import UNet, UNetConfig
from lipsync.cli.flags import parser, settings
from lipsync.onnx import exporting
from lipsync.onnx import unet as onnx_unet
from lipsync.onnx.runtime import CPU, CUDA, TENSORRT, Runtime
from lipsync.onnx.unet import OnnxBackend, OnnxUNet
from lipsync.rendering.renderer import NetworkInputs, Synthesizer
from lipsync.settings import Settings
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded

INSTALLED = all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxscript", "onnxruntime"))
NEEDED = pytest.mark.skipif(not INSTALLED, reason="requirements-onnx.txt is not installed")
SETTINGS = Settings(device="cpu", precision="fp32", batch=4)
CONTEXT, MODULATION = 6, 5


@seeded()
def tiny(**more: Any) -> UNet:
    config = UNetConfig(
        image_size=8, in_channels=3, out_channels=3, channels=32, channel_mult=(1,), res_blocks=1,
        attention_resolutions=(8,), head_channels=32, **more,
    )  # fmt: skip
    network = UNet(config)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network.eval().requires_grad_(False)


@seeded(1)
def inputs(items: int) -> dict[str, Tensor]:
    return {"x": torch.randn(items, 3, 8, 8), "t": torch.full((items,), 500)}


class Bench:
    """A UNet that ONNX Runtime computes, of a checkpoint that is any file."""

    def __init__(self, folder: Path, network: UNet, weights: bytes = b"weights", kept: Path | None = None) -> None:
        self.network, self.said, self.exports = network, [], 0
        file = folder / "checkpoint"
        file.write_bytes(weights)
        backend = OnnxBackend(torch.device("cpu"), "auto", folder / "kept" if kept is None else kept)
        self.run = OnnxUNet(network, self._load, file, backend, self.said.append)

    def _load(self) -> UNet:
        self.exports += 1
        return self.network

    def agrees(self, given: dict[str, Tensor], **conditions: Tensor) -> bool:
        with torch.inference_mode():
            expected, made = (run(**given, **conditions) for run in (self.network, self.run))
        return torch.allclose(made, expected, atol=1e-4 * float(expected.abs().max()))


def test_the_flag_is_a_setting() -> None:
    assert settings(parser().parse([])).backend == "torch"
    assert settings(parser().parse(["--backend", "onnx"])).backend == "onnx"
    with fails(BadValue, "--compile graphs", "--backend onnx"):
        Settings(backend="onnx", compile="graphs")


@pytest.mark.parametrize("gone", ["onnxruntime", "onnx"])
def test_packages_that_are_missing_are_said_before_any_frame(
    gone: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if gone == "onnx" and not INSTALLED:
        pytest.skip("onnxruntime is missing before it")
    monkeypatch.setitem(sys.modules, gone, None)
    with fails(NotFound, "--backend onnx", gone, "pip install -r requirements-onnx.txt"):
        Synthesizer(checkpoint, replace(SETTINGS, backend="onnx"), print)


@NEEDED
def test_a_precision_that_it_does_not_compute_in_is_refused(checkpoint: Path) -> None:
    with fails(BadValue, "--precision bf16", "--backend onnx"):
        Synthesizer(checkpoint, replace(SETTINGS, backend="onnx", precision="bf16"), print)
    assert OnnxBackend(torch.device("cpu"), "auto", None).precision == torch.float32


@pytest.mark.slow
@NEEDED
def test_it_says_the_same_for_any_number_of_frames_and_is_exported_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tiny(context_channels=CONTEXT, modulation=MODULATION))
    with seeded(2):
        many, modulation = torch.randn(5, 2, CONTEXT), torch.randn(5, MODULATION)
    for items in (5, 1):
        shared = many[:1].expand(items, -1, -1)
        assert bench.agrees(inputs(items), context=shared, modulation=modulation[:items])
    assert bench.exports == 1 and len(bench.said) == 1


class Mixed(nn.Module):
    """Takes what a UNet takes, and is exported in a second."""

    config = UNetConfig(
        image_size=8, in_channels=3, out_channels=3, channels=32, channel_mult=(1,), head_channels=32
    )  # fmt: skip

    def forward(self, x: Tensor, t: Tensor, *, style: Tensor, context: Tensor) -> Tensor:
        return x * style.mean(dim=1)[:, None, None, None] + context.mean(dim=(1, 2))[:, None, None, None] + t.max()


@pytest.mark.slow
@NEEDED
def test_frames_may_each_have_their_own_context(tmp_path: Path) -> None:
    bench = Bench(tmp_path, cast(UNet, Mixed()))
    with seeded(2):
        context, style = torch.randn(3, 2, CONTEXT), torch.randn(3, 128)
    assert bench.agrees(inputs(3), context=context, style=style)
    assert bench.agrees(inputs(3), context=context[:1].expand(3, -1, -1), style=style) and bench.exports == 2
    assert bench.agrees(inputs(3), context=context.flip(0), style=style) and bench.exports == 2


class Doubled(nn.Module):
    """In a UNet's place: exported in a second."""

    def __init__(self, network: UNet, names: tuple[str, ...], *, shared: bool) -> None:
        super().__init__()

    def forward(self, *given: Tensor) -> Tensor:
        return given[0] * 2 + given[1][:, None, None, None]


def doubles(bench: Bench) -> bool:
    given = inputs(2)
    return torch.allclose(bench.run(**given), given["x"] * 2 + 500)


@pytest.mark.slow
@NEEDED
def test_what_is_damaged_or_of_another_checkpoint_is_exported_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_unet, "Denoiser", Doubled)
    first, again = Bench(tmp_path, tiny()), Bench(tmp_path, tiny())
    assert doubles(first) and doubles(again) and (first.exports, again.exports) == (1, 0)
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(b"no network")
    bench = Bench(tmp_path, tiny())
    assert doubles(bench) and bench.exports == 1
    other = Bench(tmp_path, tiny(), b"other weights")
    assert doubles(other) and other.exports == 1 and len(list((tmp_path / "kept").iterdir())) == 2


@pytest.mark.slow
@NEEDED
def test_where_nothing_can_be_kept_it_works_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_unet, "Denoiser", Doubled)
    (tmp_path / "file").touch()
    bench = Bench(tmp_path, tiny(), kept=tmp_path / "file" / "kept")
    assert doubles(bench) and "not kept" in " ".join(bench.said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "file"]


@NEEDED
def test_what_cannot_be_exported_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object, **named: object) -> None:
        raise torch.onnx.OnnxExporterError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", broken)
    bench = Bench(tmp_path, tiny())
    with fails(BadInput, "no such operator"):
        bench.run(**inputs(2))
    assert list((tmp_path / "kept").iterdir()) == []


@NEEDED
@pytest.mark.parametrize(
    ("problem", "kind"), [("Failed to allocate memory for requested buffer", MemoryError), ("no kernel", BadInput)]
)
def test_what_fails_while_it_runs(tmp_path: Path, problem: str, kind: type[Exception]) -> None:
    bench = Bench(tmp_path, tiny())
    failure = bench.run._backend.runtime.problems[0]

    def run(binding: object) -> None:
        raise failure(problem)

    session = SimpleNamespace(
        io_binding=lambda: SimpleNamespace(bind_input=lambda *given: None, bind_output=lambda *given: None),
        get_outputs=lambda: [SimpleNamespace(name="y")], run_with_iobinding=run,
    )  # fmt: skip
    bench.run._sessions["x", "t", False] = session
    with pytest.raises(kind):
        bench.run(**inputs(2))


@pytest.mark.slow
@NEEDED
def test_frames_are_those_of_torch_but_for_rounding(checkpoint: Path, tmp_path: Path) -> None:
    plain = Synthesizer(checkpoint, SETTINGS, print)
    onnx = Synthesizer(checkpoint, replace(SETTINGS, backend="onnx", cache=tmp_path), print)
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (6, 32, 32, 3), np.uint8)
    shown = NetworkInputs(faces, faces[::-1].copy(), {"mel": rng.normal(size=(6, 80, 16)).astype(np.float32)})
    one, other = (made([0, 1, 2, 3, 0, 1], shown).astype(int) for made in (plain, onnx))
    assert np.abs(one - other).max() <= 1 and not np.array_equal(one, faces)
    assert [path.suffix for path in (tmp_path / "onnx").iterdir()] == [".onnx"]


class Pretended:
    """An ONNX Runtime with CUDA, and TensorRT if it is said to be there."""

    def __init__(self, *, works: bool = True) -> None:
        self.opened: list[list[Any]] = []
        self.works = works

    def get_available_providers(self) -> list[str]:
        return [TENSORRT, CUDA, CPU]

    class SessionOptions:
        def add_session_config_entry(self, name: str, value: str) -> None: ...

    def InferenceSession(self, path: str, options: object, providers: list[Any]) -> object:  # noqa: N802
        self.opened.append(providers)
        used = [TENSORRT, CUDA, CPU] if self.works else [CUDA, CPU]
        return SimpleNamespace(get_providers=lambda: used)


@pytest.fixture
def pretending(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Pretended]:
    def pretend(*, there: bool, works: bool = True) -> Pretended:
        module = Pretended(works=works)
        monkeypatch.setattr(onnx_unet, "load_runtime", lambda who: Runtime(module, (ValueError,)))
        monkeypatch.setattr(exporting, "check_exporter", lambda who: None)
        monkeypatch.setattr(Runtime, "tensorrt", property(lambda self: there))
        monkeypatch.setattr(onnx_unet, "resolve_precision", lambda name, device: torch.float16)
        return module

    return pretend


def test_tensorrt_is_used_where_it_is(pretending: Callable[..., Pretended], tmp_path: Path) -> None:
    module = pretending(there=True)
    backend = OnnxBackend(torch.device("cuda:1"), "auto", tmp_path)
    backend.open(tmp_path / "network.onnx")
    assert backend.precision == torch.float16
    name, options = module.opened[0][0]
    assert name == TENSORRT and options["device_id"] == 1 and options["trt_fp16_enable"]
    assert not options["trt_bf16_enable"] and options["trt_engine_cache_path"] == str(tmp_path)
    broken = pretending(there=True, works=False)
    with fails(BadInput, "TensorRT", "--backend onnx"):
        OnnxBackend(torch.device("cuda"), "auto", None).open(tmp_path / "network.onnx")
    assert len(broken.opened) == 1


def test_cuda_is_used_where_tensorrt_is_not(pretending: Callable[..., Pretended], tmp_path: Path) -> None:
    module = pretending(there=False)
    backend = OnnxBackend(torch.device("cuda"), "auto", tmp_path)
    backend.open(tmp_path / "network.onnx")
    assert backend.precision == torch.float32 and module.opened == [[(CUDA, {"device_id": 0}), CPU]]


def test_a_device_without_onnxruntime_is_said(
    pretending: Callable[..., Pretended], capsys: pytest.CaptureFixture[str]
) -> None:
    pretending(there=False)
    assert OnnxBackend(torch.device("mps"), "auto", None).device == torch.device("cpu")
    assert "--backend onnx: this onnxruntime does not compute on mps" in capsys.readouterr().err
