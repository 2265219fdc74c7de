"""The only file that sees all systems: by name, by checkpoint.  (`recipes.py` says how each is trained.)"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core.errors import BadInput
from core.paths import CHECKPOINTS
from guided_diffusion.engine.checkpoint import Checkpoint, check_size, load_checkpoint, load_strictly
from guided_diffusion.engine.config import from_dict, to_dict

from .autoencoder import Autoencoder, AutoencoderConfig, load_published
from .diff2lip import Diff2Lip, Diff2LipConfig
from .parts import Part, Parts, autoencoder_in, has_autoencoder, motion_in, network_in
from .style import LipMotion, LipMotionConfig, Renderer, RendererConfig, StyleSystem
from .sync import SyncConfig, SyncExpert, Wav2LipExpert, Wav2LipExpertConfig
from .syncdiff import SyncDiff, SyncDiffConfig, SyncDiffNetwork

LARGEST_FACE = 4096  # pixels
DEFAULT_CHECKPOINT = CHECKPOINTS / "style-medium"
SMALL_DIFF2LIP = CHECKPOINTS / "diff2lip-small.safetensors"  # what others are measured against

Speaking = Diff2Lip | SyncDiff | StyleSystem  # what can speak
Expert = SyncExpert | Wav2LipExpert  # what can judge
Stage1 = LipMotion  # what says how the lips of a StyleSystem move
Network = SyncDiffNetwork | Renderer  # what is trained of a system that may have other parts
Model = Diff2Lip | Network | Autoencoder | Stage1 | Expert  # whatever is in one file


@dataclass(frozen=True)
class Kind:
    """A kind of model and the type of its config."""

    config: type[Any]
    build: Callable[[Any], Model]


KINDS = {
    "diff2lip": Kind(Diff2LipConfig, Diff2Lip),
    "syncdiff": Kind(SyncDiffConfig, SyncDiffNetwork),
    "sync": Kind(SyncConfig, SyncExpert),
    "wav2lip-expert": Kind(Wav2LipExpertConfig, Wav2LipExpert),
    "style": Kind(RendererConfig, Renderer),
    "autoencoder": Kind(AutoencoderConfig, Autoencoder),
    "motion": Kind(LipMotionConfig, LipMotion),
}


def build(name: str, config: Any) -> Model:
    """A fresh model of a kind."""
    return KINDS[name].build(config)


def load(path: Path) -> Model:
    """The model that a checkpoint holds, in evaluation mode, float32, on the CPU; it needs no other information.

    Raises BadInput if the file is not a checkpoint of a known kind, or does not fit what it says it is.
    """
    checkpoint = load_checkpoint(path)
    name, config = identify(checkpoint, path)
    bare = checkpoint.system is None
    check_size(lambda: _holder(build(name, config), bare), checkpoint.weights, str(path))
    model = build(name, config)
    if getattr(model, "size", 0) > LARGEST_FACE:
        raise BadInput(f"{path}: is for faces of {model.size} px, above {LARGEST_FACE}; use another checkpoint")
    target = _holder(model, bare)
    load_strictly(target, {key: value.float() for key, value in checkpoint.weights.items()}, str(path))
    return model.eval().requires_grad_(False)


def _holder(model: Model, bare: bool) -> torch.nn.Module:
    """The module whose weights a checkpoint holds: of the original release, those of the network alone."""
    return model.network if bare and isinstance(model, Diff2Lip) else model


def load_system(path: Path) -> Speaking:
    """As `load`, for a checkpoint that can speak, or the folder of one that has several parts.

    Raises BadInput for one that only judges, such as a sync expert, or whose other parts do not lie beside it.
    """
    file = network_in(path) if path.is_dir() else path
    model = load(file)
    if isinstance(model, Network):
        parts = parts_in(file.parent, model.config)
        parts.check(model.config, str(file))
        return whole(model, parts).eval()
    if not isinstance(model, Diff2Lip):
        raise BadInput(f"{path}: is a {type(model).__name__}, which cannot speak; pass a lip-sync checkpoint")
    return model


def whole(network: Network, parts: Parts) -> SyncDiff | StyleSystem:
    """A system of its network and its parts."""
    autoencoder = parts.autoencoder.model if parts.autoencoder is not None else None
    if isinstance(network, SyncDiffNetwork):
        return SyncDiff(network, autoencoder)
    assert parts.motion is not None, "a renderer is told what the lips do"
    return StyleSystem(network, autoencoder, parts.motion.model.reader)


def parts_in(folder: Path, config: Any, *, training: bool = False) -> Parts:
    """What a network of this config works with, from a folder; in training, the autoencoder if there is one.

    Raises BadInput if something is missing, or not what it is called.
    """
    latent = has_autoencoder(folder) if training else bool(config.latents)
    autoencoder = Part(load_autoencoder(path := autoencoder_in(folder)), path) if latent else None
    motion = Part(load_motion(path := motion_in(folder)), path) if hasattr(config, "motion") else None
    return Parts(autoencoder, motion)


def load_expert(path: Path) -> Expert:
    """As `load`, for a checkpoint that judges.  Raises BadInput for any other."""
    model = load(path)
    if not isinstance(model, Expert):
        raise BadInput(f"{path}: not a sync expert; train one with train.py --system sync")
    return model


def load_autoencoder(path: Path) -> Any:
    """As `load`, for an autoencoder or the folder of a published one.  BadInput for anything else."""
    if path.is_dir():
        return load_published(path).eval().requires_grad_(False)
    model = load(path)
    if not isinstance(model, Autoencoder):
        raise BadInput(f"{path}: not an autoencoder; train one with train.py --system autoencoder")
    return model


def load_motion(path: Path) -> Stage1:
    """Stage 1: of its own file, or of the folder of a model.  Raises BadInput for anything else."""
    file = motion_in(path) if path.is_dir() else path
    model = load(file)
    if not isinstance(model, LipMotion):
        raise BadInput(f"{file}: knows no lip motion; train what does with train.py --system motion")
    return model


def identify(checkpoint: Checkpoint, path: Path) -> tuple[str, Any]:
    """Which kind a checkpoint is, and its config; the published weights of others are recognised by their keys."""
    if checkpoint.system in KINDS:
        return checkpoint.system, from_dict(KINDS[checkpoint.system].config, checkpoint.config, str(path))
    if checkpoint.system is None and "audio_encoder_to_style.3.weight" in checkpoint.weights:
        return "diff2lip", Diff2LipConfig()
    if checkpoint.system is None and "face_encoder.0.conv_block.0.weight" in checkpoint.weights:
        return "wav2lip-expert", Wav2LipExpertConfig()
    raise BadInput(
        f"{path}: holds no lip-sync model known here ({', '.join(sorted(KINDS))}); pass one with --model_path"
    )


def describe(name: str, model: Model, step: int, weights: dict[str, torch.Tensor]) -> Checkpoint:
    """A model's weights with all that `load` needs."""
    return Checkpoint(name, to_dict(model.config), step, weights)
