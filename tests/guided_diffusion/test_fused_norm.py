"""The kernels between two convolutions against torch's own operations, by Triton's interpreter and on a GPU."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from guided_diffusion import fused_norm
from guided_diffusion.blocks import Resample, ResBlock
from tests.helpers.seeded import seeded

ROOT = Path(__file__).parents[2]
BLOCKS = [
    {"scale_shift_norm": True, "modulation": 16},
    {},
    {"modulation": 16, "resample": Resample((2, 2), up=False)},
    {"scale_shift_norm": True, "resample": Resample((2, 2), up=True)},
]


def plain(x: Tensor, groups: int, scale: Tensor, shift: Tensor, gate: Tensor, pre: Tensor, more: Tensor) -> Tensor:
    scale, shift, gate, pre, more = (factor[:, :, None, None] for factor in (scale, shift, gate, pre, more))
    return F.silu(F.group_norm(x * pre + more, groups, eps=1e-5) * scale + shift) * gate


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((one - other).abs().max().detach() / one.abs().max().clamp(min=1e-6).detach())


def check_kernels(device: str) -> None:
    for channels, groups in ((64, 32), (96, 32), (320, 32)):
        draw = Generator().manual_seed(channels)
        x = (torch.randn(2, channels, 7, 5, generator=draw) * 2 + 1).to(device)
        x = x.contiguous(memory_format=torch.channels_last)
        factors = [torch.randn(2, channels, generator=draw).to(device) for _ in range(5)]
        one, other = ([value.clone().requires_grad_() for value in (x, *factors)] for _ in range(2))
        want = plain(one[0], groups, *one[1:])
        found = fused_norm.norm_silu(other[0], nn.GroupNorm(groups, channels), *other[1:])
        slope = torch.randn(want.shape, generator=draw).to(device)
        want.backward(slope)
        found.backward(slope)
        assert found.is_contiguous(memory_format=torch.channels_last) and apart(want, found) < 1e-5
        assert max(apart(a.grad, b.grad) for a, b in zip(one, other, strict=True)) < 1e-4


@seeded()
def check_blocks(device: str) -> None:
    for options in BLOCKS:
        block = ResBlock(64, 64 if "resample" in options else 96, 128, **options)
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        block, twin = block.to(device), copy.deepcopy(block).to(device)
        x, embedding = torch.randn(2, 64, 8, 8).to(device), torch.randn(2, 128).to(device)
        vector = torch.randn(2, 16).to(device) if "modulation" in options else None
        want, found = block(x, embedding, vector), twin(x.to(memory_format=torch.channels_last), embedding, vector)
        assert "NormSilu" in names(found) and "NormSilu" not in names(want)
        slope = torch.arange(want.numel(), device=device).reshape(want.shape).sin()
        (want * slope).sum().backward()
        (found * slope).sum().backward()
        pairs = zip(block.parameters(), twin.parameters(), strict=True)
        assert apart(want, found) < 1e-4 and max(apart(a.grad, b.grad) for a, b in pairs) < 1e-3


def check_generating(device: str) -> None:
    """Whoever asks first may be generating, where nothing has a gradient."""
    fused_norm._works.cache_clear()
    with torch.inference_mode():
        x = torch.zeros(1, 32, 2, 2, device=device).to(memory_format=torch.channels_last)
        assert fused_norm.usable(x)


def names(made: Tensor) -> str:
    """Of all operations that made it."""
    seen, waiting = [], [made.grad_fn]
    while waiting:
        step = waiting.pop()
        if step is not None:
            seen.append(step.name())
            waiting += [before for before, _ in step.next_functions]
    return " ".join(seen)


@pytest.mark.slow
@pytest.mark.skipif(fused_norm.kernels() is None, reason="torch came without Triton")
def test_the_kernels_are_right_as_the_interpreter_runs_them() -> None:
    code = (
        "from guided_diffusion import fused_norm; fused_norm.ROWS, fused_norm.CHUNK = 8, 16;"
        "from tests.guided_diffusion.test_fused_norm import check_blocks, check_generating, check_kernels;"
        "check_generating('cpu'); check_kernels('cpu'); check_blocks('cpu')"
    )
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_kernels_are_right_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    check_generating("cuda")
    check_kernels("cuda")
    check_blocks("cuda")


def test_a_processor_goes_without() -> None:
    x = torch.zeros(1, 32, 2, 2).to(memory_format=torch.channels_last)
    assert not fused_norm.usable(x)


def test_what_fails_is_said_once_and_gone_on_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setattr(fused_norm, "norm_silu", broken)
    fused_norm._works.cache_clear()
    assert not fused_norm._works(torch.device("cpu")) and not fused_norm._works(torch.device("cpu"))
    assert caplog.text.count("Triton does not run here (no compiler)") == 1
    fused_norm._works.cache_clear()
    monkeypatch.setenv(fused_norm.SWITCH, "0")
    assert not fused_norm._works(torch.device("cpu"))
    fused_norm._works.cache_clear()
