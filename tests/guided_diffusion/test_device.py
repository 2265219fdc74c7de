"""Device and precision: automatic where nothing is said, one sentence where it cannot be."""

import pytest
import torch

from core.errors import BadValue
from guided_diffusion.engine.device import autocast, peak_memory, resolve_device, resolve_precision
from tests.helpers.failing import fails

CPU = torch.device("cpu")


def test_the_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["tpu", "gpu", "", "cuda:x", "cpu:one", "meta"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with fails(BadValue, f"--device {name}", "auto"):
        resolve_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused() -> None:
    with fails(BadValue, "--device cuda", "auto"):
        resolve_device("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_beyond_the_last_is_refused() -> None:
    assert resolve_device("auto").type == "cuda"
    with fails(BadValue, "--device", "auto"):
        resolve_device(f"cuda:{torch.cuda.device_count()}")


def test_a_named_precision_is_taken_and_auto_is_one_of_them() -> None:
    assert resolve_precision("fp32", CPU) == torch.float32
    assert resolve_precision("fp16", CPU) == torch.float16
    assert resolve_precision("auto", CPU) in (torch.bfloat16, torch.float32)


def test_autocast_lowers_products_and_fp32_changes_nothing() -> None:
    product = {}
    for name in ("fp32", "bf16"):
        with autocast(CPU, resolve_precision(name, CPU)):
            product[name] = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    assert product == {"fp32": torch.float32, "bf16": torch.bfloat16}


def test_peak_memory_counts_what_was_in_use_once() -> None:
    before = peak_memory(CPU)
    torch.ones(75_000_000)                                              # 0.3 GB, gone at once
    assert before > 0.05 and peak_memory(CPU) >= max(before, 0.3)
