"""Weights on disk: safetensors whose metadata holds the system's name, its whole config and the step."""

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from core.atomic import save_atomically
from core.errors import Mismatch, NotFound, Unreadable, first_line, not_opened
from core.npz import UNREADABLE

FORMAT = "lipsync-1"
PARALLEL = "module."
INFLATION = 4  # times its size that a .pt may become
MOST_TENSORS, MOST_NUMBERS = 20_000, 4_000_000_000  # of a network that is built for a checkpoint: 16 GB
NOT_WEIGHTS = (
    pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError,
    ValueError, IndexError, KeyError, TypeError, AttributeError,
)  # what torch's safe unpickler raises on bytes that are no pickle of weights


NOT_A_NETWORK = (
    ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, MemoryError, AssertionError, AttributeError,
)  # what building one of impossible sizes raises


@dataclass(frozen=True)
class Checkpoint:
    """Weights and what they are: enough to rebuild the model with no flags.

    system is None for a bare state dict (another project's .pt), which a system may recognise by its keys.
    """

    system: str | None
    config: dict[str, Any]
    step: int
    weights: dict[str, Tensor] = field(repr=False)


def step_of(path: Path) -> int | None:
    """The step at which `save_checkpoint` wrote a file; None if it is no such file."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return int(metadata["step"]) if metadata.get("format") == FORMAT else None
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


def save_checkpoint(path: Path, checkpoint: Checkpoint, dtype: torch.dtype | None = None) -> None:
    """Writes a .safetensors file atomically, floating tensors as dtype if one is given."""

    def stored(value: Tensor) -> Tensor:
        value = value.detach().cpu().contiguous()
        return value.to(dtype) if dtype is not None and value.is_floating_point() else value

    metadata = {
        "format": FORMAT,
        "system": checkpoint.system or "",
        "config": json.dumps(checkpoint.config),
        "step": str(checkpoint.step),
    }
    weights = {name: stored(value) for name, value in checkpoint.weights.items()}
    save_atomically(path, lambda temporary: save_file(weights, temporary, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """A .safetensors file of ours, or a bare .pt state dict.  Raises BadInput for anything else."""
    if not path.is_file():
        raise NotFound(f"{path}: no such checkpoint; correct the path that --model_path, or another flag, names")
    try:
        path.open("rb").close()  # what safetensors may not read it says is not there
    except OSError as problem:
        raise not_opened(f"{path}", problem) or problem from None
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    return _load_pickle(path)


def _load_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise Unreadable(f"{path}: not a readable safetensors file ({problem}); copy or download it again") from problem
    if metadata.get("format") != FORMAT:
        return Checkpoint(None, {}, 0, weights)
    try:
        return Checkpoint(metadata["system"] or None, json.loads(metadata["config"]), int(metadata["step"]), weights)
    except (KeyError, ValueError, RecursionError) as problem:
        raise Unreadable(f"{path}: does not say what its weights are ({problem}); use another checkpoint") from problem


def check_inflation(path: Path) -> None:
    """BadInput for a .pt that becomes far more than it is: torch stores tensors as they are."""
    try:
        with zipfile.ZipFile(path) as file:
            inflated = sum(entry.file_size for entry in file.infolist())
    except UNREADABLE:
        return  # of the older form, or damaged, as loading it will say
    if inflated > INFLATION * path.stat().st_size:
        raise Unreadable(f"{path}: {path.stat().st_size} bytes that become {inflated}; use a file that torch wrote")


def _load_pickle(path: Path) -> Checkpoint:
    check_inflation(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols: the outcome is what counts
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except NOT_WEIGHTS as problem:
        raise Unreadable(f"{path}: not a file of weights alone; nothing in it was run, use another") from problem
    for name in ("state_dict", "model"):  # many projects put the weights beside an optimiser's state
        if isinstance(weights, dict) and isinstance(weights.get(name), dict):
            weights = weights[name]
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise Unreadable(f"{path}: holds something other than one table of weights; use a weights-only checkpoint")
    if weights and all(str(key).startswith(PARALLEL) for key in weights):  # as DataParallel saves them
        weights = {key.removeprefix(PARALLEL): value for key, value in weights.items()}
    return Checkpoint(None, {}, 0, weights)


def load_state(path: Path, where: str) -> dict[str, Any]:
    """What a trainer saved.  BadInput, which names `where`, if it is damaged or something else; runs nothing in it."""
    check_inflation(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except NOT_WEIGHTS as problem:
        raise Unreadable(
            f"{where}: is no state of a run, or damaged; move it away to begin anew, or choose another --output"
        ) from problem
    if not isinstance(state, dict):
        raise Unreadable(f"{where}: is no state of a run; move it away to begin anew, or choose another --output")
    return state


class _Budget:
    """Refuses, while a network is built on no device, what is larger than any checkpoint is meant to be."""

    def __init__(self) -> None:
        self.parts = self.numbers = 0

    def __call__(self, module: torch.nn.Module, name: str, part: Any) -> None:
        self.parts += 1
        self.numbers += part.numel() if isinstance(part, Tensor) else 0
        if self.parts > MOST_TENSORS or self.numbers > MOST_NUMBERS:
            raise ValueError(f"more than {MOST_TENSORS:,} parts or {MOST_NUMBERS:,} numbers")


class _Unfilled(TorchFunctionMode):
    """Leaves out normal random numbers: on no device torch draws them by its compiler, which takes 2 s to import."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.nn.init.normal_, Tensor.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def check_size(build: Callable[[], torch.nn.Module], weights: Mapping[str, Tensor], where: str) -> None:
    """BadInput if a network of a stranger's config cannot be built, is too large, or has not the weights' shapes.

    It is built without memory, and given up as soon as it exceeds what is stated above.
    """
    budget = _Budget()
    hooks = [
        register_module_parameter_registration_hook(budget), register_module_module_registration_hook(budget),
        register_module_buffer_registration_hook(budget),
    ]  # fmt: skip
    try:
        with torch.device("meta"), _Unfilled(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of layers without numbers
            network = build()
    except NOT_A_NETWORK as problem:
        message = first_line(problem)
        raise Mismatch(f"{where}: its config makes no network ({message}); use another checkpoint") from problem
    finally:
        for hook in hooks:
            hook.remove()
    check_shapes(network, weights, where)


def load_strictly(module: torch.nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Every key and every shape must match.  Raises BadInput that names the first that does not."""
    check_shapes(module, weights, where)
    module.load_state_dict(weights)


def check_shapes(module: torch.nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """As `load_strictly`, without loading."""
    own = module.state_dict()
    missing, unknown = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    if missing or unknown:
        what = f"lacks {missing[0]}" if missing else f"holds the unknown {unknown[0]}"
        raise Mismatch(f"{where}: {what}, so it does not fit this network; use a checkpoint made for it")
    for name, value in own.items():
        if weights[name].shape != value.shape:
            raise Mismatch(
                f"{where}: {name} has shape {tuple(weights[name].shape)}, the network needs {tuple(value.shape)}"
            )
