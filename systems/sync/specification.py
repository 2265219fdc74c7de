"""Sync experts as kinds of models: ours, which is trained here, and Wav2Lip's, which is only loaded."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from core.errors import Mismatch
from dataset import ClipBatch, WindowConfig
from guided_diffusion.engine.train_config import TrainConfig

from ..lip_sync_expert import FRAMES
from ..preset import Preset
from ..specification import SelfContained, Teachers
from .expert import SyncConfig, SyncExpert
from .wav2lip import Wav2LipExpert, Wav2LipExpertConfig

PUBLISHED = "face_encoder.0.conv_block.0.weight"  # a key of Wav2Lip's expert alone

PRESETS = {
    "sync": Preset(
        "sync",
        SyncConfig(),
        train=TrainConfig(
            steps=1_500, batch=160, learning_rate=5e-4, warmup=50, cooldown=500, ema=(0.99,), precision="bf16",
            weight_decay=0.05, save_every=100, log_every=20, evaluate_every=100,
        ),
        data=WindowConfig(frames=5, per_clip=8, balance=0.5, voice_jitter=6, zoom=0.14),
    ),
}  # fmt: skip


class SyncExpertSpecification(SelfContained[SyncConfig, SyncExpert]):
    """It judges; it generates nothing."""

    kind = "sync"
    config = SyncConfig
    role = "expert"
    presets = PRESETS
    windows = 8  # of each clip that it has to tell apart

    def build(self, config: SyncConfig) -> SyncExpert:
        return SyncExpert(config)

    def trainable(self, preset: Preset[SyncConfig], model: SyncExpert, teachers: Teachers) -> SyncExpert:
        if preset.window_config.frames != FRAMES or preset.window_config.per_clip < 2:
            raise Mismatch(f"an expert learns from several windows of {FRAMES} frames a clip; set data. accordingly")
        return model

    def measure(self, model: SyncExpert, batch: ClipBatch) -> Mapping[str, float]:
        return retrieval_accuracy(model, batch)

    def picture(self, model: SyncExpert, batch: ClipBatch) -> None:
        return None

    def warning(self, figures: Mapping[str, float]) -> str | None:
        losses = {name.removesuffix("/loss"): value for name, value in figures.items() if name.endswith("/loss")}
        if not all(value >= 0.99 * figures[f"{split}/chance"] for split, value in losses.items()):
            return None
        values = ", ".join(f"{value:.3f}" for value in losses.values())
        return (
            f"the expert still does no better than chance ({values}); if it stays so, give it more clips a step"
            " (train.accumulate) and data whose sound is in sync"
        )


class Wav2LipExpertSpecification(SelfContained[Wav2LipExpertConfig, Wav2LipExpert]):
    """As published: it judges, and is not trained here."""

    kind = "wav2lip-expert"
    config = Wav2LipExpertConfig
    role = "expert"

    def build(self, config: Wav2LipExpertConfig) -> Wav2LipExpert:
        return Wav2LipExpert(config)

    def published(self, weights: Mapping[str, Tensor]) -> Wav2LipExpertConfig | None:
        return Wav2LipExpertConfig() if PUBLISHED in weights else None


@torch.inference_mode()
def retrieval_accuracy(expert: SyncExpert, clips: ClipBatch) -> Mapping[str, float]:
    """Among the windows of each clip: how often a window's own sound is nearer than one other, and the nearest of all.

    Chance is 0.5 and 1 / (windows a clip).  ValueError if no clip has two windows.
    """
    if clips.clip is None or (distinct := len(set(clips.clip.tolist()))) == len(clips.clip):
        raise ValueError("retrieval needs several windows of a clip")
    cosines = expert.embed_faces(clips.faces) @ expert.embed_sound(clips.speech).T
    own = cosines.diagonal()[:, None]
    others = clips.clip[:, None] == clips.clip[None, :]
    others.fill_diagonal_(False)
    return {
        "against_one": float((own > cosines)[others].float().mean()),
        "nearest_of_all": float(((own > cosines) | ~others).all(dim=1).float().mean()),
        "own_cosine": float(own.mean()),
        "other_cosine": float(cosines[others].mean()),
        "loss": float(sum(expert.losses(clips, torch.Generator())["expert"].values())),
        "chance": math.log(len(clips.clip) / distinct),
    }


SPECIFICATIONS = (SyncExpertSpecification(), Wav2LipExpertSpecification())
