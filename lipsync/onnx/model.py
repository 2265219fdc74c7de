"""A network from an ONNX file, run by ONNX Runtime; what it takes and gives is held against what is wanted of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import BadInput, NotFound, OutOfMemory, lacks_memory

from .runtime import load_runtime

Floats = NDArray[np.float32]
KINDS = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
}  # fmt: skip
"""The types of numbers that are understood, by ONNX Runtime's names."""


@dataclass(frozen=True)
class Port:
    """An input or output: its name, its type as ONNX Runtime calls it, its shape; None where a length may vary."""

    name: str
    kind: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        lengths = ", ".join("any" if length is None else str(length) for length in self.shape)
        return f"{self.name} [{lengths}] {self.kind.removeprefix('tensor(').removesuffix(')')}"

    @property
    def real(self) -> bool:
        """Whether it is of real numbers."""
        return self.kind in ("tensor(float)", "tensor(float16)")

    def fits(self, shape: tuple[int | None, ...]) -> bool:
        """Whether it may have this shape; None: whatever length."""
        pairs = zip(self.shape, shape, strict=False)
        return len(self.shape) == len(shape) and all(a == b or a is None or b is None for a, b in pairs)


class OnnxModel:
    """A loaded network of one input, of whose outputs the first counts; `flag` is how the user named it.

    Its runs may come from several threads.
    """

    def __init__(self, path: Path, flag: str, device: torch.device) -> None:
        """On a CPU with as many threads as torch has; on CUDA where this ONNX Runtime can.

        BadInput if onnxruntime is not installed, or the file is no ONNX network that it can run.
        """
        self.path, self.flag = path, flag
        runtime = load_runtime(f"{flag} {path}")
        self._problems = runtime.problems
        if not path.is_file():
            raise NotFound(f"{flag} {path}: no such file; check the path")
        place = runtime.device(device, f"{flag} {path}")
        try:
            self._session: Any = runtime.open(path, place)
        except self._problems as problem:
            raise self._broken(problem, "is no ONNX network that onnxruntime can load") from problem
        self.inputs, self.outputs = (
            [Port(port.name, port.type, tuple(n if isinstance(n, int) else None for n in port.shape)) for port in ports]
            for ports in (self._session.get_inputs(), self._session.get_outputs())
        )
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def output(self) -> Port:
        """The output that counts."""
        return self.outputs[0]

    def only_input(self, wanted: str) -> Port:
        """Its one input, of real numbers.  BadInput, saying what is wanted, if it has others."""
        if len(self.inputs) != 1 or not self.inputs[0].real:
            count = f"takes {len(self.inputs)} inputs" if len(self.inputs) != 1 else "takes"
            raise self.wrong(f"{count} ({'; '.join(map(str, self.inputs))})", wanted)
        return self.inputs[0]

    def __call__(self, values: Floats) -> NDArray[Any]:
        """The first output for this input; f32 where it is of real numbers.

        BadInput if it fails, or gives what is no number.  OutOfMemory.
        """
        port = self.inputs[0]
        try:
            (raw,) = self._session.run([self.output.name], {port.name: values.astype(KINDS[port.kind], copy=False)})
        except self._problems as problem:
            raise self._broken(problem, "cannot be run") from problem
        output = np.asarray(raw)
        if not self.output.real:
            return output
        output = output.astype(np.float32, copy=False)
        if not np.isfinite(output).all():
            raise BadInput(f"{self.flag} {self.path}: gives what is no number; pass another file")
        return output

    def wrong(self, found: str, wanted: str) -> BadInput:
        """Says what it is, and what is wanted instead."""
        return BadInput(f"{self.flag} {self.path}: {found}, where {wanted}; export it so, or pass another file")

    def _broken(self, problem: Exception, what: str) -> BadInput | OutOfMemory:
        if lacks_memory(problem):
            return OutOfMemory(f"{self.flag} {self.path}: out of memory; close other programs, or leave it out")
        words = " ".join(str(problem).split())[:200]
        return BadInput(f"{self.flag} {self.path}: {what} ({words}); export it again, or pass another file")
