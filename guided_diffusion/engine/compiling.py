"""Quicker calls of a network: whether torch's compiler works here, and calls recorded as CUDA graphs."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.errors import first_line, lacks_memory

WARM = 3  # calls before one is recorded: libraries choose their kernels, a compiler compiles
MOST = 4  # shapes that are recorded; each keeps the memory of its activations

Function = Callable[..., Tensor]
Record = Callable[[Callable[[], Tensor], torch.device], tuple[Tensor, Callable[[], object]]]
"""A call to be recorded and its device -> where its result lies, and what makes it there anew of what then lies in its
inputs."""


def compiler_problem(device: torch.device) -> str | None:
    """Why torch's compiler cannot be used on a device, as a part of a sentence; None if it can.

    It is tried on a sum, forwards and backwards, which takes some seconds: what may lack (a C++ compiler, Triton,
    Python's headers) shows only when something is compiled.
    """
    def tried(x: Tensor) -> Tensor:
        return (x.sin() + 1).sum()

    x = torch.ones(8, device=device, requires_grad=True)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            torch.compile(tried, dynamic=False)(x).backward()
    except (ImportError, OSError, RuntimeError) as problem:  # dynamo's own are RuntimeErrors
        return first_line(problem)[:160]
    return None


def cuda_graph(run: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, Callable[[], object]]:
    """A `Record` for CUDA (https://docs.pytorch.org/docs/stable/notes/cuda.html, "CUDA Graphs").

    Other threads may use the device meanwhile.
    """
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()
        current = torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                run()
        current.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            output = run()
    return output, graph.replay


@dataclass(frozen=True)
class _Recording:
    inputs: dict[int | str, Tensor]
    output: Tensor
    replay: Callable[[], object]

    def __call__(self, inputs: dict[int | str, Tensor]) -> Tensor:
        for name, value in inputs.items():
            self.inputs[name].copy_(value)
        self.replay()
        return self.output.clone()


class Recorded:
    """A function of tensors (and None) to a tensor that is recorded once for each shape of its inputs, then replayed.

    A replay launches all kernels at once, so that the GPU does not wait for Python; they are the same kernels, and the
    results the same, bit for bit.  Where a gradient is wanted, and from the fifth shape on, the function is called.
    If it cannot be recorded it is called from then on, and `say` is told once, in a sentence.
    """

    def __init__(self, function: Function, say: Callable[[str], object], record: Record = cuda_graph) -> None:
        self._function, self._say, self._record = function, say, record
        self._recordings: dict[Hashable, _Recording] = {}
        self._refused = False

    def __call__(self, *args: Tensor | None, **named: Tensor | None) -> Tensor:
        arguments: dict[int | str, Tensor | None] = dict(enumerate(args))
        arguments.update(named)
        inputs = {name: value for name, value in arguments.items() if value is not None}
        key = _key(inputs)
        fresh = key not in self._recordings
        if torch.is_grad_enabled() or self._refused or (fresh and len(self._recordings) == MOST):
            return self._function(*args, **named)
        if fresh:
            try:
                self._recordings[key] = self._recorded(inputs, len(args), set(named) - set(inputs))
            except RuntimeError as problem:
                if lacks_memory(problem):
                    raise
                self._refused = True
                self.forget()
                why = first_line(problem)[:160]
                self._say(f"the network cannot be recorded as a CUDA graph ({why}); going on without")
                return self._function(*args, **named)
        return self._recordings[key](inputs)

    def forget(self) -> None:
        """Lets go of all that was recorded, and of its memory."""
        self._recordings.clear()

    def _recorded(self, inputs: dict[int | str, Tensor], count: int, absent: set[str]) -> _Recording:
        own = {name: torch.empty_like(value).copy_(value) for name, value in inputs.items()}
        args = [own.get(place) for place in range(count)]
        named = {name: value for name, value in own.items() if isinstance(name, str)} | dict.fromkeys(absent)
        device = next(iter(own.values())).device
        precision, enabled = torch.get_autocast_dtype(device.type), torch.is_autocast_enabled(device.type)

        def run() -> Tensor:
            # What autocast keeps of converted weights would lie in the graph's memory, and be used outside.
            with torch.autocast(device.type, precision, enabled=enabled, cache_enabled=False):
                return self._function(*args, **named)

        return _Recording(own, *self._record(run, device))


def _key(inputs: dict[int | str, Tensor]) -> Hashable:
    """What a recording is good for."""
    device = next(iter(inputs.values())).device.type
    shapes = tuple((name, value.shape, value.stride(), value.dtype, value.device) for name, value in inputs.items())
    autocast = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    return shapes, autocast, torch.is_inference_mode_enabled()
