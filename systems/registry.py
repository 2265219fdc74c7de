"""The only file that sees all systems: by name, by preset, by checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from errors import BadInput
from guided_diffusion.checkpoint import Checkpoint, load_checkpoint, load_strictly
from guided_diffusion.config import from_dict, to_dict
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig

from .diff2lip import Diff2Lip, Diff2LipConfig
from .sound import SoundConfig
from .sync import SyncConfig, SyncExpert

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_CHECKPOINT = ROOT / "checkpoints" / "diff2lip-small.safetensors"


Model = Diff2Lip | SyncExpert  # whatever can be trained and loaded


@dataclass(frozen=True)
class Kind:
    """A trainable thing and the type of its config."""

    config: type[Any]
    build: Callable[[Any], Model]


KINDS = {"diff2lip": Kind(Diff2LipConfig, Diff2Lip), "sync": Kind(SyncConfig, SyncExpert)}
SPEAKS = {"diff2lip"}  # the kinds that are Systems

# The paper's network is the default of its config; `small` is ours, and what ships.
PRESETS: dict[str, tuple[str, Any]] = {
    "diff2lip-128": ("diff2lip", Diff2LipConfig()),
    "diff2lip-small": (
        "diff2lip",
        Diff2LipConfig(
            unet=UNetConfig(
                channels=64,
                channel_mult=(1, 2, 3),
                res_blocks=1,
                attention_resolutions=(8,),
                out_channels=3,
                scale_shift_norm=True,
                residual_resampling=False,
                patch=4,
            ),
            sound=SoundConfig(res_blocks=1, positions=True),
            diffusion=DiffusionConfig(
                schedule="cosine", predict="x0", learn_variance=False, noisy=0.7, noisy_region=0.15
            ),
            sampling=SampleConfig(sampler="dpm++", spacing="3"),
            fast=SampleConfig(sampler="dpm++", spacing="2"),
            best=SampleConfig(sampler="dpm++", spacing="4"),
            fill="zeros",
            reconstruction_weight=0.0,
            mouth_weight=15.0,
            train_sound_encoder=False,
        ),
    ),
    "sync": ("sync", SyncConfig()),
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


def load_system(path: Path) -> Diff2Lip:
    """As `load`, for a checkpoint that can speak.  Raises BadInput for one that only judges, such as a sync expert."""
    model = load(path)
    if isinstance(model, SyncExpert):
        raise BadInput(f"{path}: is a {type(model).__name__}, which cannot speak; pass a lip-sync checkpoint")
    return model


def identify(checkpoint: Checkpoint, path: Path) -> tuple[str, Any]:
    """Which kind a checkpoint is, and its config; the original release's weights are recognised by their keys."""
    if checkpoint.system in KINDS:
        return checkpoint.system, from_dict(KINDS[checkpoint.system].config, checkpoint.config, str(path))
    if checkpoint.system is None and "audio_encoder_to_style.3.weight" in checkpoint.weights:
        return "diff2lip", Diff2LipConfig()
    raise BadInput(
        f"{path}: holds no lip-sync model known here ({', '.join(sorted(KINDS))}); pass one with --model_path"
    )


def describe(name: str, model: Model, step: int, weights: dict[str, torch.Tensor]) -> Checkpoint:
    """A model's weights with all that `load` needs."""
    return Checkpoint(name, to_dict(model.config), step, weights)
