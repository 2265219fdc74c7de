"""What a model begins with, before its first step: other weights, other ears."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from audio.avhubert import AvHubert
from audio.whisper import WhisperEncoder
from core.errors import BadInput
from guided_diffusion.engine.checkpoint import load_checkpoint, load_strictly
from guided_diffusion.unet import UNet

from .diff2lip import Diff2Lip
from .recipes import Recipe
from .registry import Model, load, load_expert
from .sound import SoundEmbedder, SoundEncoder
from .style import LipMotion, PredictingObjective
from .sync import SyncExpert
from .syncdiff import SyncDiffNetwork, adopt_avhubert

NOTES = logging.getLogger(__name__)
STEM, TIME = "input_blocks.0.0.weight", "time_embed.2.bias"  # of a UNet
EARS = "predictor.sound_encoder."  # in a checkpoint of stage 1


def start_from(model: Model, path: Path) -> None:
    """All weights of a checkpoint of the same make; of another one, those that fit.

    That is the same system with another config, or another system that fills faces in, of which the UNet counts.
    """
    other = load(path)
    same = type(other) is type(model)
    if isinstance(model, LipMotion) and isinstance(other, LipMotion) and other.config != model.config:
        _start_reading(model, other, path)
        return
    if same and (other.config == model.config or _unet(model) is None):
        load_strictly(model, other.state_dict(), f"--init {path}")
        return
    own_unet, other_unet = _unet(model), _unet(other)
    if own_unet is None or other_unet is None:
        raise BadInput(f"--init {path}: is a {type(other).__name__}; use a checkpoint of the same system")
    unet = other_unet.state_dict()
    more = own_unet.state_dict()[STEM].shape[1] - unet[STEM].shape[1]
    if more > 0:  # channels of pictures that the other was not shown: not looked at yet
        unet[STEM] = F.pad(unet[STEM], (0, 0, 0, 0, 0, more))
    if isinstance(other, Diff2Lip) and not same:
        unet[TIME] = unet[TIME] + other.network.audio_encoder_to_style[-1].bias  # with what it hears on average
    taken = _take(model, other.state_dict()) if same else set()
    prefix = next(name for name, module in model.named_modules() if module is own_unet)
    taken |= {f"{prefix}.{key}" if prefix else key for key in _take(own_unet, unet)}
    NOTES.warning(
        "--init %s: a %s; %d of the network's %d tensors start from it, the others anew",
        path, type(other).__name__, len(taken), len(model.state_dict()),
    )  # fmt: skip


def _start_reading(model: LipMotion, other: LipMotion, path: Path) -> None:
    """The space and the reader of stage 1 with another predictor, whose own weights begin anew."""
    for name in ("space", "reader"):
        load_strictly(getattr(model, name), getattr(other, name).state_dict(), f"--init {path}: {name}")
    NOTES.warning("--init %s: has another predictor; reader and space start from it, the predictor anew", path)


def _take(module: nn.Module, weights: Mapping[str, Tensor]) -> set[str]:
    """The weights that fit become the module's; their names."""
    own = module.state_dict()
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    module.load_state_dict(fitting, strict=False)
    return set(fitting)


def _unet(model: Model) -> UNet | None:
    """The network that fills faces in."""
    found = model.network if isinstance(model, Diff2Lip) else getattr(model, "unet", None)
    return found if isinstance(found, UNet) else None


def adopt_hearing(model: Model, path: Path) -> None:
    """The sound encoder of a sync expert, or AV-HuBERT's or Whisper's weights as published, become the model's.

    Whisper's may also come from a stage 1 that hears by them.
    """
    encoder = model.hearing.encoder if isinstance(model, SyncDiffNetwork) else getattr(model, "sound_encoder", None)
    if isinstance(encoder, AvHubert):
        adopt_avhubert(encoder, path, f"--hearing {path}")
        return
    if isinstance(encoder, WhisperEncoder):
        weights = {name: value.float() for name, value in load_checkpoint(path).weights.items()}
        ears = {name.removeprefix(EARS): value for name, value in weights.items() if name.startswith(EARS)}
        weights = ears or weights
        weights.pop("positional_embedding", None)  # computed
        load_strictly(encoder, weights, f"--hearing {path}")
        return
    expert = load_expert(path)
    if not isinstance(expert, SyncExpert):
        raise BadInput(f"--hearing {path}: its sound encoder is of another kind; train one with --system sync")
    if isinstance(encoder, SoundEmbedder):
        load_strictly(encoder.head, expert.audio_head.state_dict(), f"--hearing {path}")
        encoder = encoder.features
    if not isinstance(encoder, SoundEncoder):
        raise BadInput(f"--hearing {path}: what is trained has no use for an expert's hearing; leave the flag out")
    load_strictly(encoder, expert.audio_encoder.state_dict(), f"--hearing {path}")


def check_hearing(model: Model) -> None:
    """BadInput if layers are to stay as published that nobody has loaded."""
    if isinstance(model, SyncDiffNetwork) and model.config.sound == "avhubert" and model.config.frozen:
        raise BadInput(
            "AV-HuBERT's frozen layers need its published weights: pass them with --hearing, or train on the mel with"
            " --system syncdiff-small"
        )


def check_stage1(chosen: Recipe, init: Path | None, hearing: Path | None, workers: int) -> None:
    """BadInput if a predictor is to learn with nobody's reader or ears, not trained with it, or by workers."""
    if not isinstance(chosen.loss, PredictingObjective):
        return
    if workers:
        raise BadInput(f"--workers {workers}: what predicts lip motion hears every clip once, in one process; use 0")
    if init is None or hearing is None:
        raise BadInput(
            "what predicts lip motion needs a reader of it and ears: train a reader with --system motion-reader and"
            " pass it with --init, and with --hearing the first blocks of Whisper tiny.en's encoder, or for"
            " model.predictor.ears=mel a sync expert"
        )
