"""What runs on a CPU runs on a GPU, and gives the same pictures.

    scripts/gpu_check.sh                    these tests and the benchmarks, in at most 4 minutes
    GPU_TESTS_ON=cpu pytest -m gpu tests/gpu      the tests themselves, tried without a GPU
"""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from lipsync.cli.main import generate
from lipsync.rendering import renderer as synthesis
from systems.training import train
from tests.helpers.talking_head import talking, tone
from tests.helpers.tiny_motion import prepare
from tests.helpers.tiny_style import SHORT, save
from video import read_frames, write_video

DEVICE = os.environ.get("GPU_TESTS_ON", "cuda")
ROOT = Path(__file__).parents[2]
FACE = ["27", "87", "89", "137"]  # top, bottom, left, right: no detector is needed
SHIPPED = ["style-medium", "style-small", "diff2lip-small.safetensors", "syncdiff-small.safetensors"]
UNET = [
    "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1,2]", "model.unet.patch=2",
    "model.unet.head_channels=32", "model.sampling.spacing=2",
]  # fmt: skip
TINY = {
    "diff2lip-small": [*UNET, "model.unet.attention_resolutions=[]"],
    "syncdiff-small": [
        *UNET, "model.unet.attention_resolutions=[]", "model.unet.res_blocks=1", "model.pose.width=4",
        "model.pose.widths=[32,32]", "loss.own_warmup=1",
    ],
    "style-small": [
        "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1,2]",
        "model.unet.res_blocks=1", "model.unet.head_channels=32", "model.unet.attention_resolutions=[4]",
        "model.modulation=16", "model.references=2", "model.context_dim=16", "model.sampling.spacing=2",
    ],
    "sync": ["model.size=32", "model.shrink=1", "model.widths=[32,32]", "model.embedding=16"],
}  # fmt: skip

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a GPU"),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("inputs")
    write_video(here / "person.mp4", talking(8), Fraction(25))
    tone(here / "words.wav", 0.32)
    return here


def result(inputs: Path, model: str, output: Path, *more: str) -> np.ndarray:
    """[frames, h, w, 3], stored without loss."""
    code = generate([
        "--video", str(inputs / "person.mp4"), "--audio", str(inputs / "words.wav"), "-o", str(output), "--codec",
        "ffv1", "--model_path", str(ROOT / "checkpoints" / model), "--no_cache", *more, "--box", *FACE,
    ])  # fmt: skip
    assert code == 0
    return np.stack(list(read_frames(output)))


@pytest.mark.parametrize("system", TINY)
def test_a_system_trains(system: str, tmp_path: Path) -> None:
    data = prepare(tmp_path / "data")
    (tmp_path / "parts").mkdir()
    save(tmp_path / "parts")
    settings = [*SHORT, *TINY[system], "train.steps=3", "train.precision=bf16", "train.batch=8"]
    train(system, data, tmp_path / "run", components=tmp_path / "parts" if system.startswith("style") else None,
          settings=settings, device=DEVICE)  # fmt: skip
    assert (tmp_path / "run" / "weights.safetensors").exists()


@pytest.mark.parametrize("model", SHIPPED)
def test_cpu_and_gpu_agree(model: str, inputs: Path, tmp_path: Path) -> None:
    here = result(inputs, model, tmp_path / "cpu.mkv", "--device", "cpu", "--precision", "fp32")
    there = result(inputs, model, tmp_path / "gpu.mkv", "--device", DEVICE, "--precision", "fp32")
    source = np.stack(list(read_frames(inputs / "person.mp4")))
    edited = (here != source).any(axis=3)
    assert edited.any() and np.abs(here.astype(float) - there)[edited].mean() <= 2


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("model", SHIPPED)
def test_lower_precision_gives_a_picture(model: str, precision: str, inputs: Path, tmp_path: Path) -> None:
    exact = result(inputs, model, tmp_path / "fp32.mkv", "--device", DEVICE, "--precision", "fp32")
    found = result(inputs, model, tmp_path / "low.mkv", "--device", DEVICE, "--precision", precision)
    edited = (exact != found).any(axis=3)
    assert not edited.any() or np.abs(exact.astype(float) - found)[edited].mean() <= 6


@pytest.mark.parametrize("model", SHIPPED)
def test_recorded_networks_make_the_same_frames(model: str, inputs: Path, tmp_path: Path) -> None:
    called = result(inputs, model, tmp_path / "called.mkv", "--device", DEVICE)
    replayed = result(inputs, model, tmp_path / "replayed.mkv", "--device", DEVICE, "--compile", "graphs")
    assert np.array_equal(called, replayed)


@pytest.mark.slow
def test_compiled_networks_make_nearly_the_same_frames(inputs: Path, tmp_path: Path) -> None:
    called = result(inputs, "style-small", tmp_path / "called.mkv", "--device", DEVICE)
    compiled = result(inputs, "style-small", tmp_path / "compiled.mkv", "--device", DEVICE, "--compile", "full")
    edited = (called != compiled).any(axis=3)
    assert not edited.any() or np.abs(called.astype(float) - compiled)[edited].mean() <= 6


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_onnxruntime_makes_nearly_the_same_frames(precision: str, inputs: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    if DEVICE == "cuda" and "CUDAExecutionProvider" not in runtime.get_available_providers():
        pytest.skip("this onnxruntime has no CUDA")
    called = result(inputs, "style-small", tmp_path / "called.mkv", "--device", DEVICE)
    made = result(
        inputs, "style-small", tmp_path / "onnx.mkv", "--device", DEVICE, "--backend", "onnx", "--precision", precision
    )
    edited = (called != made).any(axis=3)
    assert not edited.any() or np.abs(called.astype(float) - made)[edited].mean() <= 6


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # the compiler looks at it
@pytest.mark.slow
def test_a_compiled_system_trains(tmp_path: Path) -> None:
    data = prepare(tmp_path / "data")
    settings = [*SHORT, *TINY["diff2lip-small"], "train.steps=3", "train.batch=8", "train.compile=true"]
    train("diff2lip-small", data, tmp_path / "run", settings=settings, device=DEVICE)
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_out_of_memory_halves_the_batch(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = synthesis.Synthesizer.sample

    def greedy(self, clips):
        if self.batch > 2:
            if DEVICE == "cuda":
                torch.empty(2**50, dtype=torch.uint8, device=DEVICE)  # the device's own refusal
            raise MemoryError
        return before(self, clips)

    monkeypatch.setattr(synthesis.Synthesizer, "sample", greedy)
    result(inputs, "diff2lip-small.safetensors", tmp_path / "out.mkv", "--device", DEVICE, "--batch", "8")
    assert "out of memory: going on with 2 frames at a time" in capsys.readouterr().err
