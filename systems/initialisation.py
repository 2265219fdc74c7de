"""What a model begins with, before its first step: other weights, another audio encoder."""

import logging
from pathlib import Path

from audio.avhubert import AvHubert
from audio.whisper import WhisperEncoder
from core.errors import Mismatch
from guided_diffusion.engine.checkpoint import load_checkpoint, load_strictly

from .avhubert_weights import adopt_avhubert
from .model import Model
from .registry import load_expert, load_with_specification
from .sound import SoundEmbedder, SoundEncoder
from .specification import AnySpecification
from .sync import SyncExpert

NOTES = logging.getLogger(__name__)
STAGE1 = "predictor.sound_encoder."  # where a checkpoint of stage 1 has Whisper's weights


def start_from(specification: AnySpecification, model: Model, path: Path) -> None:
    """All weights of a checkpoint of the same make; of another one, those that fit.

    That is the same system with another config, or another system that fills faces in, of which the UNet counts.
    BadInput if it is neither.
    """
    origin, other = load_with_specification(path)
    taken = specification.start_from(model, other, origin, f"--init {path}")
    if taken is not None:
        NOTES.warning(
            "--init %s: a %s; %d of the network's %d tensors start from it, the others anew",
            path, type(other).__name__, taken, len(model.state_dict()),
        )  # fmt: skip


def adopt_audio_encoder(specification: AnySpecification, model: Model, path: Path) -> None:
    """The sound encoder of a sync expert, or AV-HuBERT's or Whisper's weights as published, become the model's.

    Whisper's may also come from a stage 1 that hears by them.
    """
    encoder = specification.audio_encoder(model)
    if isinstance(encoder, AvHubert):
        adopt_avhubert(encoder, path, f"--audio_encoder {path}")
        return
    if isinstance(encoder, WhisperEncoder):
        weights = {name: value.float() for name, value in load_checkpoint(path).weights.items()}
        own = {name.removeprefix(STAGE1): value for name, value in weights.items() if name.startswith(STAGE1)}
        weights = own or weights
        weights.pop("positional_embedding", None)  # computed
        load_strictly(encoder, weights, f"--audio_encoder {path}")
        return
    expert = load_expert(path)
    if not isinstance(expert, SyncExpert):
        raise Mismatch(f"--audio_encoder {path}: its sound encoder is of another kind; train one with --system sync")
    if isinstance(encoder, SoundEmbedder):
        load_strictly(encoder.head, expert.audio_head.state_dict(), f"--audio_encoder {path}")
        encoder = encoder.features
    if not isinstance(encoder, SoundEncoder):
        raise Mismatch(f"--audio_encoder {path}: what is trained has no use for an expert's; leave the flag out")
    load_strictly(encoder, expert.audio_encoder.state_dict(), f"--audio_encoder {path}")
