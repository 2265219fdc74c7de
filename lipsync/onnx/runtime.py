"""ONNX Runtime, which is loaded by whoever needs it (requirements-onnx.txt)."""

import ctypes.util
import importlib
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from core.errors import NotFound
from core.progress import say

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
"""Execution providers: what ONNX Runtime computes by."""


@dataclass(frozen=True)
class Runtime:
    """The module, and what it raises when it cannot load or run a network."""

    module: Any
    problems: tuple[type[Exception], ...]

    @property
    def tensorrt(self) -> bool:
        """Whether TensorRT is on this machine, and this ONNX Runtime built for it."""
        if TENSORRT not in self.module.get_available_providers():
            return False
        if find_spec("tensorrt") is not None:
            importlib.import_module("tensorrt")  # loads the libraries that came with it, where nobody else finds them
            return True
        return ctypes.util.find_library("nvinfer") is not None

    def device(self, wanted: torch.device, who: str) -> torch.device:
        """Where it computes what is wanted on a device: there if that is CUDA and it can, else on the CPU.

        who: begins the sentence that says that it cannot.
        """
        if wanted.type == "cuda" and CUDA in self.module.get_available_providers():
            return wanted
        if wanted.type != "cpu":
            remedy = "; onnxruntime-gpu does" if wanted.type == "cuda" else ""
            say(f"{who}: this onnxruntime does not compute on {wanted.type}, so it runs on the CPU{remedy}")
        return torch.device("cpu")

    def open(self, path: Path, device: torch.device, tensorrt: dict[str, Any] | None = None) -> Any:
        """A session, on a CPU with as many threads as torch has; tensorrt: its options, where it shall be used.

        Raises one of `problems` for what is no ONNX network that can be run.
        """
        options = self.module.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as torch's threads, core/__init__.py
        providers: list[Any] = [CPU]
        if device.type == "cuda":
            if hasattr(self.module, "preload_dlls"):  # finds CUDA's libraries among torch's
                self.module.preload_dlls()
            number = {"device_id": device.index or 0}
            providers = [(CUDA, number), CPU]
            if tensorrt is not None:
                providers = [(TENSORRT, number | tensorrt), *providers]
        return self.module.InferenceSession(str(path), options, providers)


def load_runtime(who: str) -> Runtime:
    """BadInput, a sentence that begins with `who`, if onnxruntime is not installed."""
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as problem:
        raise missing(who, "onnxruntime") from problem
    kinds = (kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return Runtime(onnxruntime, tuple(kinds))


def missing(who: str, package: str) -> NotFound:
    """Says that a package is not installed, and how to have it."""
    return NotFound(
        f"{who}: needs {package}, which is not installed; run {sys.executable} -m pip install -r requirements-onnx.txt"
    )
