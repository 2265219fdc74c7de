"""Tiny networks as ONNX files, with the layouts of those that people have."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NEEDED = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")),
    reason="requirements-onnx.txt is not installed",
)
Shape = Sequence[int | str]
FACE = (1, 3, 512, 512)


def save(
    path: Path,
    nodes: Sequence[tuple[str, Sequence[str], str, Mapping[str, Any]]],
    taken: Mapping[str, Shape],
    given: Mapping[str, Shape],
    values: Mapping[str, np.ndarray] | None = None,
    **metadata: str,
) -> Path:
    """A network of nodes (operator, inputs, output, attributes) with float inputs and outputs of these shapes."""
    from onnx import TensorProto, helper, numpy_helper
    from onnx import save as write

    def ports(shapes: Mapping[str, Shape]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in shapes.items()]

    graph = helper.make_graph(
        [helper.make_node(kind, list(inputs), [output], **more) for kind, inputs, output, more in nodes],
        "toy", ports(taken), ports(given),
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (values or {}).items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata)
    write(model, str(path))
    return path


def brighter(path: Path, by: float = 0.2) -> Path:
    """A restorer that adds `by`, of a range from -1 to 1, to every pixel."""
    return save(path, [("Add", ("x", "by"), "y", {})], {"x": FACE}, {"y": FACE}, {"by": np.float32(by)})


def noisy(path: Path, *, coarse: float = 0.0, fine: float = 0.0) -> Path:
    """A restorer that adds other noise in every frame: one number for all of it, and one for each pixel."""
    nodes = [
        ("RandomNormal", (), "one", {"shape": [1, 1, 1, 1], "scale": max(coarse, 1e-6), "seed": 1.0}),
        ("RandomNormal", (), "each", {"shape": list(FACE), "scale": max(fine, 1e-6), "seed": 2.0}),
        ("Add", ("x", "one"), "z", {}), ("Add", ("z", "each"), "y", {}),
    ]  # fmt: skip
    return save(path, nodes, {"x": FACE}, {"y": FACE})


def codeformer(path: Path) -> Path:
    """With a second input, as CodeFormer's is exported."""
    return save(path, [("Mul", ("x", "w"), "y", {})], {"x": FACE, "w": [1]}, {"y": FACE})


def xseg(path: Path, side: int | str = 256, *, occluder: bool = False) -> Path:
    """Sees a face wherever a picture is not pure green; occluder: says where it is, in its metadata that it does so."""
    shape = (1, side, side, 3)
    nodes: list[tuple[str, Sequence[str], str, Mapping[str, Any]]] = [
        ("Sub", ("x", "green"), "apart", {}), ("Abs", ("apart",), "far", {}),
        ("ReduceMax", ("far",), "most", {"axes": [3], "keepdims": 1}),
        ("Less" if occluder else "Greater", ("most", "limit"), "is", {}), ("Cast", ("is",), "y", {"to": 1}),
    ]  # fmt: skip
    more = {"mask": "occluder"} if occluder else {}
    values = {"green": np.array([0, 1, 0], np.float32), "limit": np.float32(0.3)}
    return save(path, nodes, {"x": shape}, {"y": (1, side, side, 1)}, values, **more)


def bisenet(path: Path, classes: int = 19) -> Path:
    """Scores of classes: hair (17) where a picture is pure green, else skin (1); two more outputs, as BiSeNet has."""
    weights, bias = np.zeros((classes, 3, 1, 1), np.float32), np.full(classes, -9, np.float32)
    bias[1] = 0
    weights[min(17, classes - 1), :, 0, 0], bias[min(17, classes - 1)] = (-1, 1, -1), -4.5
    shape = (1, classes, 512, 512)
    nodes = [("Conv", ("x", "w", "b"), "y", {}), ("Identity", ("y",), "y16", {})]
    return save(path, nodes, {"x": FACE}, {"y": shape, "y16": shape}, {"w": weights, "b": bias})


def filtered(path: Path, taps: np.ndarray, size: int | str = "n", **metadata: str) -> Path:
    """A separator of mono sounds: a filter of an odd number of taps."""
    nodes = [("Conv", ("x", "w"), "y", {"pads": [len(taps) // 2] * 2})]
    return save(path, nodes, {"x": (1, 1, size)}, {"y": (1, 1, size)}, {"w": taps[None, None].astype("f4")}, **metadata)


def stems(path: Path, size: int = 44100, shares: Sequence[float] = (0.0, 0.1, 0.2, 0.7), **metadata: str) -> Path:
    """A separator of stereo sounds into stems, each a share of the whole, as Demucs' are laid out."""
    nodes = [("Unsqueeze", ("x", "axis"), "one", {}), ("Mul", ("one", "shares"), "y", {})]
    values = {"axis": np.array([1]), "shares": np.array(shares, np.float32).reshape(1, -1, 1, 1)}
    return save(path, nodes, {"x": (1, 2, size)}, {"y": (1, len(shares), 2, size)}, values, **metadata)
