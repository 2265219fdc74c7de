"""Device and precision, decided once, at the edge."""

import sys
from typing import TypeVar

import torch
from torch import nn

from core.errors import BadValue

M = TypeVar("M", bound=nn.Module)


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA if there is one, else Apple's, else the CPU.  Raises BadInput for a device that is not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadValue(f"--device {name}: unknown; use auto, cpu, cuda, cuda:1 or mps") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        raise BadValue(f"--device {name}: there is none on this machine; use auto")
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise BadValue(f"--device {name}: the highest number on this machine is {count - 1}; use auto")
    return device


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bf16 where the hardware computes in it, else fp16 on a GPU, else fp32."""
    if name != "auto":
        return PRECISIONS[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """The network's matrix products in `precision`; fp32 changes nothing."""
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


def store_weights(module: M, precision: torch.dtype) -> M:
    """Keeps the weights of matrix products in `precision`, so that autocast does not convert them at every call.

    -> the same module, changed.
    """
    for part in module.modules():
        if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            part.to(precision)
    return module


def peak_memory(device: torch.device) -> float:
    """The most memory that was in use so far, GB: of the GPU for CUDA, else of this process (0 on Windows)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return process_memory() / 1e9


def process_memory() -> int:
    """The most memory that this process ever held, bytes (0 on Windows, which does not say)."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
