"""A UNet that ONNX Runtime computes instead of torch (--backend onnx): on a CPU, by CUDA, or by TensorRT.

It is exported when it is first called, for the conditions that it is then given, checked against torch, and kept beside
the detections; what is kept is found again by the checkpoint's bytes and the code that was exported.
"""

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import BadInput, BadValue, first_line, lacks_memory
from face_detection.cache import content_hash
from guided_diffusion import blocks, unet
from guided_diffusion.engine.device import resolve_precision
from guided_diffusion.unet import UNet

from . import exporting
from .runtime import TENSORRT, load_runtime

WHO = "--backend onnx"
NAMES = ("x", "t", "style", "context", "modulation")
WITHOUT = f"leave {WHO} out"


class Denoiser(nn.Module):
    """A UNet's forward, of tensors by place: those of `names`.

    shared: the context [1, n, c] is one for all items.
    """

    def __init__(self, network: UNet, names: tuple[str, ...], *, shared: bool) -> None:
        super().__init__()
        self.network, self.names, self.shared = network, names, shared

    def forward(self, *given: Tensor) -> Tensor:
        named = dict(zip(self.names, given, strict=True))
        x, t = named.pop("x"), named.pop("t")
        if self.shared:
            named["context"] = named["context"].expand(len(x), -1, -1)
        output: Tensor = type(self.network).forward(self.network, x, t, **named)  # not what stands in for it
        return output


class OnnxBackend:
    """Where ONNX Runtime computes, and in which precision."""

    def __init__(self, device: torch.device, precision: str, folder: Path | None) -> None:
        """precision: by its name; auto is float32, but with TensorRT that of the device.  folder: where networks are
        kept, None for nowhere.

        BadInput if packages are missing, or for a precision in which it cannot compute here.
        """
        self.runtime = load_runtime(WHO)
        exporting.check_exporter(WHO)
        self.folder = folder
        self.device = self.runtime.device(device, WHO)
        self.tensorrt = self.device.type == "cuda" and self.runtime.tensorrt
        if not self.tensorrt and precision not in ("auto", "fp32"):
            raise BadValue(
                f"--precision {precision}: {WHO} computes in it by TensorRT alone, which is not there; leave one of the"
                " two out"
            )
        self.precision = resolve_precision(precision, self.device) if self.tensorrt else torch.float32

    def open(self, path: Path) -> Any:
        """A session of a network, or one of the runtime's problems; BadInput if TensorRT cannot be used after all."""
        tensorrt = {
            "trt_fp16_enable": self.precision == torch.float16, "trt_bf16_enable": self.precision == torch.bfloat16,
            "trt_engine_cache_enable": self.folder is not None, "trt_engine_cache_path": str(path.parent),
        }  # fmt: skip
        session = self.runtime.open(path, self.device, tensorrt if self.tensorrt else None)
        if self.tensorrt and session.get_providers()[0] != TENSORRT:
            raise BadInput(f"{WHO}: this onnxruntime cannot load the TensorRT that is installed; install the version"
                           f" that it asks for, or {WITHOUT}")  # fmt: skip
        return session


class OnnxUNet:
    """Stands in for a UNet's `forward`, by the same arguments; its output is float32.

    BadInput if it cannot be exported.  MemoryError.
    """

    def __init__(
        self, network: UNet, load: Callable[[], UNet], checkpoint: Path, backend: OnnxBackend,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """load: gives the network as its checkpoint, a file, holds it, in float32 on the CPU."""
        self._config, self._load, self._backend, self._say = network.config, load, backend, say
        code = [content_hash(Path(str(module.__file__))) for module in (unet, blocks, exporting)]
        self._made_of = f"{content_hash(checkpoint)} {code} {torch.__version__}"
        self._sessions: dict[tuple[object, ...], Any] = {}

    def __call__(self, x: Tensor, t: Tensor, **conditions: Tensor | None) -> Tensor:
        given = {"x": x, "t": t, **conditions}
        context = given.get("context")
        shared = context is not None and (len(context) == 1 or context.stride(0) == 0)
        if context is not None and shared:
            given["context"] = context[:1]
        inputs = {name: value for name in NAMES if (value := given.get(name)) is not None}
        key = (*inputs, shared)
        if key not in self._sessions:
            self._sessions[key] = self._opened({name: value.shape[1:] for name, value in inputs.items()}, shared=shared)
        try:
            return self._run(self._sessions[key], inputs).to(x.device)
        except self._backend.runtime.problems as problem:
            if lacks_memory(problem):
                raise MemoryError from problem
            raise BadInput(f"{WHO}: onnxruntime cannot run it ({first_line(problem)[:160]}); {WITHOUT}") from problem

    def _run(self, session: Any, inputs: dict[str, Tensor]) -> Tensor:
        """The output of a session.  Tensors that lie on its device are not copied."""
        device = self._backend.device
        place = device.type, device.index or 0
        side = self._config.image_size
        output = torch.empty(len(inputs["x"]), self._config.out_channels, side, side, device=device)
        binding = session.io_binding()
        bound = {
            name: value.to(device, torch.int64 if name == "t" else torch.float32).contiguous()
            for name, value in inputs.items()
        }
        for name, value in bound.items():
            kind = np.int64 if name == "t" else np.float32
            binding.bind_input(name, *place, kind, tuple(value.shape), value.data_ptr())
        name = session.get_outputs()[0].name
        binding.bind_output(name, *place, np.float32, tuple(output.shape), output.data_ptr())
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()  # its own stream does not wait for torch's
        session.run_with_iobinding(binding)
        return output

    def _opened(self, shapes: dict[str, torch.Size], *, shared: bool) -> Any:
        """A session for conditions of these shapes, each without the number of items; what is kept is used."""
        made_of = f"{self._made_of} {shapes} {shared}"
        name = f"{hashlib.blake2b(made_of.encode(), digest_size=16).hexdigest()}.onnx"
        folder = self._backend.folder
        if folder is not None:
            with suppress(*self._backend.runtime.problems):
                if (folder / name).is_file():
                    return self._backend.open(folder / name)
            try:
                return self._exported(folder / name, shapes, shared=shared)
            except OSError as problem:
                self._say(f"{WHO}: the exported network is not kept ({problem})")
        with tempfile.TemporaryDirectory() as temporary:
            return self._exported(Path(temporary) / name, shapes, shared=shared)

    def _exported(self, path: Path, shapes: dict[str, torch.Size], *, shared: bool) -> Any:
        kept = "" if self._backend.folder is None else ", once"
        self._say(f"{WHO}: exporting the network, which may take minutes{kept}")

        def inputs(items: int) -> dict[str, Tensor]:
            generator = torch.Generator().manual_seed(items)
            return {
                name: torch.randint(0, 1000, (items,), generator=generator) if name == "t"
                else torch.randn(1 if shared and name == "context" else items, *shape, generator=generator)
                for name, shape in shapes.items()
            }  # fmt: skip

        free = {name: () if shared and name == "context" else (0,) for name in shapes}
        exporting.export(Denoiser(self._load(), tuple(shapes), shared=shared).eval(), inputs, free, path)
        return self._backend.open(path)
