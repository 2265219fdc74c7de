"""The only file that sees all systems: by name, by checkpoint.  (`recipes.py` says how each is trained.)"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from errors import BadInput
from guided_diffusion.checkpoint import Checkpoint, load_checkpoint, load_strictly
from guided_diffusion.config import from_dict, to_dict

from .diff2lip import Diff2Lip, Diff2LipConfig
from .sync import SyncConfig, SyncExpert, Wav2LipExpert, Wav2LipExpertConfig
from .syncdiff import SyncDiff, SyncDiffConfig

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_CHECKPOINT = ROOT / "checkpoints" / "diff2lip-small.safetensors"

Speaking = Diff2Lip | SyncDiff  # what can speak
Expert = SyncExpert | Wav2LipExpert  # what can judge
Model = Speaking | Expert  # whatever can be loaded


@dataclass(frozen=True)
class Kind:
    """A kind of model and the type of its config."""

    config: type[Any]
    build: Callable[[Any], Model]


KINDS = {
    "diff2lip": Kind(Diff2LipConfig, Diff2Lip),
    "syncdiff": Kind(SyncDiffConfig, SyncDiff),
    "sync": Kind(SyncConfig, SyncExpert),
    "wav2lip-expert": Kind(Wav2LipExpertConfig, Wav2LipExpert),
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
    model = build(name, config)
    target = model.network if checkpoint.system is None and isinstance(model, Diff2Lip) else model
    load_strictly(target, {key: value.float() for key, value in checkpoint.weights.items()}, str(path))
    return model.eval().requires_grad_(False)


def load_system(path: Path) -> Speaking:
    """As `load`, for a checkpoint that can speak.  Raises BadInput for one that only judges, such as a sync expert."""
    model = load(path)
    if not isinstance(model, Speaking):
        raise BadInput(f"{path}: is a {type(model).__name__}, which cannot speak; pass a lip-sync checkpoint")
    return model


def load_expert(path: Path) -> Expert:
    """As `load`, for a checkpoint that judges.  Raises BadInput for one that speaks."""
    model = load(path)
    if isinstance(model, Speaking):
        raise BadInput(f"{path}: not a sync expert; train one with train.py --system sync")
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
