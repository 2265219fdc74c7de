"""A network of torch's as an ONNX file that says the same."""

import logging
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.atomic import atomic
from core.errors import BadInput, first_line

from .runtime import load_runtime, missing

EXPORTER: tuple[type[Exception], ...] = (torch.onnx.OnnxExporterError,)
TOLERANCE = 1e-4  # of the largest number of an output, fp32 against fp32
REMEDY = "let torch compute it, or try another version of torch and onnxscript"

Inputs = Mapping[str, Tensor]


def check_exporter(who: str) -> None:
    """BadInput, a sentence that begins with `who`, if what torch exports by is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as problem:
        raise missing(who, problem.name or "onnx") from problem


def export(
    network: nn.Module, inputs: Callable[[int], Inputs], free: Mapping[str, Collection[int]], path: Path
) -> float:
    """Writes a network in float32 on the CPU; -> by how much its output differs, as a share of its largest number.

    network  in evaluation mode, called with tensors by place
    inputs   some for so many items, by their names, in the order of the call
    free     which of their dimensions may be of any length
    BadInput if it cannot be exported, or differs by more than TOLERANCE; then nothing is written.
    """
    check_exporter(str(path))
    runtime = load_runtime(str(path))
    given = inputs(2)
    shapes = tuple(dict.fromkeys(free.get(name, ()), torch.export.Dim.DYNAMIC) for name in given)
    log = logging.getLogger("torch.onnx")
    level = log.level
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        try:
            log.setLevel(logging.ERROR)
            with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    network, tuple(given.values()), str(temporary), dynamo=True, external_data=False, verbose=False,
                    optimize=False,  # onnxscript 0.7 fails on a split that it cannot fold; runtimes optimise anyway
                    input_names=list(given), dynamic_shapes=(shapes,),
                )  # fmt: skip
            session = runtime.open(temporary, torch.device("cpu"))
        except (*EXPORTER, *runtime.problems) as problem:
            raise BadInput(f"{path}: this torch cannot export it ({first_line(problem)[:160]}); {REMEDY}") from problem
        finally:
            log.setLevel(level)
        worst = difference(network, session, inputs(3))
        if not worst <= TOLERANCE:
            raise BadInput(f"{path}: not written, as it differs by {worst:.1e} of its largest number; {REMEDY}")
    return worst


def difference(network: nn.Module, session: Any, inputs: Inputs) -> float:
    """The largest between a network and a session of it, as a share of the largest number of each output."""
    with torch.inference_mode():
        expected = network(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    outputs = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    return max(
        float(np.abs(one - other.numpy()).max() / np.abs(other.numpy()).max())
        for one, other in zip(outputs, expected, strict=True)
    )
