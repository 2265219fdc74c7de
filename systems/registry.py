"""All kinds of models that there are: found in the folders of systems/, by name, by checkpoint."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

import torch

import systems
from core.errors import BadValue, Mismatch
from core.paths import CHECKPOINTS
from guided_diffusion.engine.checkpoint import Checkpoint, check_size, load_checkpoint, load_strictly
from guided_diffusion.engine.config import Config, from_dict, to_dict

from .autoencoder import load_published
from .components import Component, Components, Latents, autoencoder_in, has_autoencoder, motion_in, network_in
from .lip_sync_expert import LipSyncExpert
from .model import Model
from .preset import Preset
from .specification import AnySpecification, Role
from .stage1 import Stage1
from .system import System

LARGEST_FACE = 4096  # pixels
DEFAULT_CHECKPOINT = CHECKPOINTS / "style-medium"
SMALL_DIFF2LIP = CHECKPOINTS / "diff2lip-small.safetensors"  # what others are measured against

REMEDY: Mapping[Role, str] = {
    "system": "cannot speak; pass a lip-sync checkpoint",
    "expert": "not a sync expert; train one with train.py --system sync",
    "autoencoder": "not an autoencoder; train one with train.py --system autoencoder",
    "motion": "knows no lip motion; train what does with train.py --system motion",
}


@cache
def specifications() -> dict[str, AnySpecification]:
    """Of every kind, by its name: SPECIFICATIONS of each folder's `specification` module."""
    by_kind: dict[str, AnySpecification] = {}
    for folder in pkgutil.iter_modules(systems.__path__):
        if folder.ispkg:
            module = importlib.import_module(f"systems.{folder.name}.specification")
            by_kind |= {specification.kind: specification for specification in module.SPECIFICATIONS}
    return by_kind


def presets() -> dict[str, Preset[Config]]:
    """All presets by name, as train.py --system knows them."""
    return {name: preset for one in specifications().values() for name, preset in one.presets.items()}


def find_preset(name: str) -> Preset[Config]:
    """Raises BadInput on an unknown name."""
    known = presets()
    if name not in known:
        raise BadValue(f"--system {name}: unknown; choose from {', '.join(known)}")
    return known[name]


def build(kind: str, config: Config) -> Model:
    """A fresh model of a kind."""
    return specifications()[kind].build(config)


def load(path: Path) -> Model:
    """The model that a checkpoint holds, in evaluation mode, float32, on the CPU; it needs no other information.

    Raises BadInput if the file is not a checkpoint of a known kind, or does not fit what it says it is.
    """
    return load_with_specification(path)[1]


def load_with_specification(path: Path) -> tuple[AnySpecification, Model]:
    """As `load`, with what its kind says of itself."""
    checkpoint = load_checkpoint(path)
    specification, config = identify(checkpoint, path)
    holder = specification.published_module if checkpoint.system is None else (lambda model: model)
    check_size(lambda: holder(specification.build(config)), checkpoint.weights, str(path))
    model = specification.build(config)
    if model.size > LARGEST_FACE:
        raise Mismatch(f"{path}: is for faces of {model.size} px, above {LARGEST_FACE}; use another checkpoint")
    load_strictly(holder(model), {key: value.float() for key, value in checkpoint.weights.items()}, str(path))
    return specification, model.eval().requires_grad_(False)


def network_file(path: Path) -> Path:
    """The file of the network, of a checkpoint that is that file or a folder.  BadInput if the folder has none."""
    return network_in(path) if path.is_dir() else path


def load_system(path: Path) -> System[object]:
    """As `load`, for a checkpoint that can speak, or the folder of one that has several components.

    Raises BadInput for one that only judges, such as a sync expert, or whose other components do not lie beside it.
    """
    file = network_file(path)
    specification, model = load_with_specification(file)
    if specification.role != "system":
        raise Mismatch(f"{path}: is a {type(model).__name__}, which {REMEDY['system']}")
    components = components_in(file.parent, specification, latent=bool(getattr(model.config, "latents", ())))
    components.check(model.config, str(file))
    system = specification.assemble(model, components)
    assert isinstance(system, System)  # its role says so
    return system.eval()


def components_in(folder: Path, specification: AnySpecification, *, latent: bool | None = None) -> Components:
    """What a network of this kind works with, from a folder.  latent: with an autoencoder; None: if one is there.

    Raises BadInput if something is missing, or not what it is called.
    """
    wanted = specification.components
    latent = "autoencoder" in wanted and (has_autoencoder(folder) if latent is None else latent)
    autoencoder = Component(load_autoencoder(path := autoencoder_in(folder)), path) if latent else None
    motion = Component(load_motion(path := motion_in(folder)), path) if "motion" in wanted else None
    return Components(autoencoder, motion)


def assemble(kind: str, model: Model, components: Components) -> Model:
    """The whole system, in evaluation mode, of a model of this kind and of what lies beside it."""
    return specifications()[kind].assemble(model, components).eval()


def load_expert(path: Path) -> LipSyncExpert:
    """As `load`, for a checkpoint that judges.  Raises BadInput for any other."""
    return cast(LipSyncExpert, _of_role(path, "expert"))


def load_autoencoder(path: Path) -> Latents:
    """As `load`, for an autoencoder or the folder of a published one.  BadInput for anything else."""
    if path.is_dir():
        return load_published(path).eval().requires_grad_(False)
    return cast(Latents, _of_role(path, "autoencoder"))


def load_motion(path: Path) -> Stage1:
    """Stage 1: of its own file, or of the folder of a model.  Raises BadInput for anything else."""
    return cast(Stage1, _of_role(motion_in(path) if path.is_dir() else path, "motion"))


def _of_role(path: Path, role: Role) -> Model:
    specification, model = load_with_specification(path)
    if specification.role != role:
        raise Mismatch(f"{path}: {REMEDY[role]}")
    return model


def identify(checkpoint: Checkpoint, path: Path) -> tuple[AnySpecification, Config]:
    """Which kind a checkpoint is, and its config; the published weights of others are recognised by their keys."""
    known = specifications()
    if checkpoint.system in known:
        specification = known[checkpoint.system]
        return specification, from_dict(specification.config, checkpoint.config, str(path))
    if checkpoint.system is None:
        for specification in known.values():
            if (config := specification.published(checkpoint.weights)) is not None:
                return specification, config
    raise Mismatch(
        f"{path}: holds no lip-sync model known here ({', '.join(sorted(known))}); pass one with --model_path"
    )


def describe(kind: str, model: Model, step: int, weights: dict[str, torch.Tensor]) -> Checkpoint:
    """A model's weights with all that `load` needs."""
    return Checkpoint(kind, to_dict(model.config), step, weights)
