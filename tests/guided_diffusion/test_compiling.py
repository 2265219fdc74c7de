"""Quicker calls give what plain calls give, or say in a sentence why they are not quicker."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dataset import ClipBatch
from guided_diffusion.blocks import AttentionBlock, ResBlock
from guided_diffusion.engine import compiling, trainer
from guided_diffusion.engine.compiling import MOST, Recorded, compiler_problem
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNet, UNetConfig
from systems.diff2lip import Diff2Lip
from systems.system import FaceSampler
from tests.helpers.adversarial import FOUR
from tests.helpers.adversarial import trainer as made
from tests.helpers.seeded import seeded
from tests.helpers.tiny import OURS

TINY = UNetConfig(32, 3, 3, 32, (1, 2), 2, (16,), 32, context_channels=8, modulation=4)


class Recorder:
    """Records as a CUDA graph does: what is replayed reads the same inputs, and writes the same output."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.recorded, self.replayed, self.problem = 0, 0, problem

    def __call__(self, run: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, Callable[[], object]]:
        self.recorded += 1
        if self.problem is not None:
            raise self.problem
        output = run()

        def replay() -> None:
            self.replayed += 1
            output.copy_(run())

        return output, replay


def drawn(count: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"x": (3, 32, 32), "modulation": (4,), "context": (5, 8)}
    case = {name: torch.randn(count, *shape, generator=generator) for name, shape in shapes.items()}
    return case | {"t": torch.full((count,), 7 + seed)}


@pytest.fixture
@seeded()
def network() -> UNet:
    made = UNet(TINY).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return made


def test_a_replay_gives_what_a_call_gives(network: UNet) -> None:
    said: list[str] = []
    recorder = Recorder()
    quick = Recorded(network.forward, said.append, recorder)
    with torch.inference_mode():
        for precision in (torch.float32, torch.bfloat16):
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                first, again = quick(**drawn(2, 1)), quick(**drawn(2, 2))
                assert torch.equal(first, network(**drawn(2, 1))), "a later replay must not change it"
                assert torch.equal(again, network(**drawn(2, 2)))
    assert (recorder.recorded, recorder.replayed) == (2, 4) and not said


@pytest.mark.slow
def test_every_shape_is_recorded_once_and_not_too_many(network: UNet) -> None:
    recorder = Recorder()
    quick = Recorded(network.forward, print, recorder)
    with torch.no_grad():
        for count in (*range(1, MOST + 3), 1):
            assert torch.equal(quick(**drawn(count, 0)), network(**drawn(count, 0)))
        assert (recorder.recorded, recorder.replayed) == (MOST, MOST + 1)
        quick.forget()
        quick(**drawn(1, 0))
    assert recorder.recorded == MOST + 1


def test_a_gradient_is_never_replayed(network: UNet) -> None:
    recorder = Recorder()
    Recorded(network.forward, print, recorder)(**drawn(1, 0)).sum().backward()
    assert recorder.recorded == 0 and network.out[2].weight.grad is not None


def test_what_cannot_be_recorded_is_called_and_said_once(network: UNet) -> None:
    said: list[str] = []
    recorder = Recorder(RuntimeError("operation not permitted when stream is capturing\nmore"))
    quick = Recorded(network.forward, said.append, recorder)
    with torch.inference_mode():
        assert all(torch.equal(quick(**drawn(n, 3)), network(**drawn(n, 3))) for n in (1, 1, 2))
    assert recorder.recorded == 1
    assert said == [
        "the network cannot be recorded as a CUDA graph (operation not permitted when stream is"
        " capturing); going on without"
    ]
    full = Recorded(network.forward, said.append, Recorder(torch.OutOfMemoryError("CUDA out of memory.")))
    with torch.no_grad(), pytest.raises(torch.OutOfMemoryError):
        full(**drawn(1, 3))


@pytest.mark.slow
@seeded(1)
def test_a_recorded_system_samples_the_same_faces() -> None:
    system = Diff2Lip(OURS).eval()
    for parameter in system.network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    faces, mel = torch.rand(1, 3, 3, 32, 32) * 2 - 1, torch.randn(1, 3, 80, 16)
    clips = ClipBatch(faces, faces, {"mel": mel}, mel[:, 0])
    for name in ("ddim", "dpm++2m-c"):
        sampler = FaceSampler(system, SampleConfig(name, "4"), precision=torch.bfloat16)
        plain, recorder = sampler(clips), Recorder()
        system.network.forward = Recorded(system.network.forward, print, recorder)  # type: ignore[method-assign]
        assert torch.equal(sampler(clips), plain) and recorder.replayed == 4
        del system.network.forward  # the instance's own


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # the compiler looks at it
@pytest.mark.slow
@pytest.mark.parametrize("learning", [False, True])
def test_each_kind_of_block_is_compiled_once(network: UNet, learning: bool) -> None:
    torch.compiler.reset()
    graphs: Counter[str] = Counter()

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        graphs["all"] += 1
        return graph.forward

    network.gradient_checkpointing = learning
    with torch.set_grad_enabled(learning):
        plain = network(**drawn(2, 5))
        network.compile(backend=backend)
        compiled = [network(**drawn(2, 5)) for _ in range(2)]
    assert all(torch.allclose(found, plain, atol=1e-5) for found in compiled)
    blocks = sum(isinstance(part, (ResBlock, AttentionBlock)) for part in network.modules())
    assert 0 < graphs["all"] < blocks


def test_a_compiler_that_does_not_work_is_named_and_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC")

    monkeypatch.setattr(torch, "compile", broken)
    assert compiler_problem(torch.device("cpu")) == "Failed to find C compiler."
    with caplog.at_level(logging.WARNING, trainer.__name__):
        run = made(tmp_path, replace(FOUR, steps=1, compile=True))
        run.run()
    assert run.step == 1
    assert caplog.messages == [
        "train.compile has no effect: torch's compiler does not work here (Failed to find C compiler.)"
    ]


def test_a_compiler_that_works_has_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_ = torch.compile
    monkeypatch.setattr(compiling.torch, "compile", lambda f, **kwargs: compile_(f, backend="eager", **kwargs))
    assert compiler_problem(torch.device("cpu")) is None
