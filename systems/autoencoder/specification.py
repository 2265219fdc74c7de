"""The autoencoder as a kind of model: what others ask of it, and how it is trained."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from dataset import ClipBatch, WindowConfig, to_pictures
from guided_diffusion.engine.train_config import TrainConfig

from ..metrics import psnr
from ..preset import Preset
from ..specification import SelfContained, Teachers
from ..validation import psnr_of_mouth_half
from .model import Autoencoder, AutoencoderConfig

# Which autoencoder the papers use is not known; those of their sizes are as wide as a renderer of that size is.
PAPER_TRAINING = TrainConfig(
    steps=100_000, batch=32, learning_rate=2e-4, warmup=1_000, cooldown=50_000, ema=(0.999,), precision="bf16"
)
PRESETS = {
    "autoencoder": Preset(
        "autoencoder",
        AutoencoderConfig(),
        train=TrainConfig(
            steps=2_500, batch=4, learning_rate=1e-3, warmup=50, cooldown=1_250, ema=(0.99,), precision="bf16",
            save_every=250, evaluate_every=250,
        ),
        data=WindowConfig(frames=1, balance=0.5, zoom=0.14),
    ),
    "autoencoder-128": Preset(
        "autoencoder", AutoencoderConfig(width=256, encoder=4, decoder=8), train=PAPER_TRAINING,
        data=WindowConfig(frames=1),
    ),
    "autoencoder-256": Preset(
        "autoencoder", AutoencoderConfig(size=256, width=256, encoder=4, decoder=8),
        train=replace(PAPER_TRAINING, batch=8, accumulate=4), data=WindowConfig(frames=1),
    ),
}  # fmt: skip


class AutoencoderSpecification(SelfContained[AutoencoderConfig, Autoencoder]):
    """Faces to latents and back; it is its own trainable."""

    kind = "autoencoder"
    config = AutoencoderConfig
    role = "autoencoder"
    presets = PRESETS

    def build(self, config: AutoencoderConfig) -> Autoencoder:
        return Autoencoder(config)

    def trainable(self, preset: Preset[AutoencoderConfig], model: Autoencoder, teachers: Teachers) -> Autoencoder:
        return model

    def measure(self, model: Autoencoder, batch: ClipBatch) -> Mapping[str, float]:
        return reconstruction(model, batch)

    def picture(self, model: Autoencoder, batch: ClipBatch) -> NDArray[np.uint8]:
        return restored_strip(model, batch)


@torch.inference_mode()
def reconstruction(autoencoder: Autoencoder, clips: ClipBatch) -> Mapping[str, float]:
    """What latents keep of faces: PSNR of the whole and of the lower half, dB; mean and deviation of the latents."""
    faces = clips.faces.flatten(0, 1)
    latents = autoencoder.encode(faces)
    restored = autoencoder.decode(latents).clamp(-1, 1)
    return {
        "psnr_db": float(psnr(restored, faces).mean()),
        "mouth_half_db": psnr_of_mouth_half(restored, faces),
        "latent_mean": float(latents.mean()),
        "latent_deviation": float(latents.std()),
    }


@torch.inference_mode()
def restored_strip(autoencoder: Autoencoder, clips: ClipBatch) -> NDArray[np.uint8]:
    """A picture: faces in the upper row, what latents keep of them below.  u8 [2*s, b*s, 3] RGB."""
    faces = clips.faces[:, 0]
    rows = [to_pictures(faces), to_pictures(autoencoder.decode(autoencoder.encode(faces)))]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


SPECIFICATIONS = (AutoencoderSpecification(),)
