"""Both stages of the style system at the size of a thumbnail, and a folder that holds them."""

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from dataset import to_network
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.engine.checkpoint import save_checkpoint
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig
from scripts.formula import fill
from systems import registry
from systems.autoencoder import Autoencoder, AutoencoderConfig
from systems.components import Component, Components
from systems.style import LipMotion, Renderer, RendererConfig, StyleSystem
from tests.helpers.seeded import seeded
from tests.helpers.tiny_motion import CONFIG as MOTION
from tests.helpers.tiny_motion import space
from tests.helpers.toy import talking

M = TypeVar("M", bound=nn.Module)
AUTOENCODER = AutoencoderConfig(size=32, width=16, encoder=1, decoder=1, latents=4)
CONFIG = RendererConfig(
    latents=(4, 8, 8),
    unet=UNetConfig(
        image_size=32, channels=32, channel_mult=(1, 2), res_blocks=1, attention_resolutions=(4,), head_channels=32,
        scale_shift_norm=True, residual_resampling=False,
    ),
    motion_dim=MOTION.motion_dim, modulation=16, references=2, context_dim=16,
    diffusion=DiffusionConfig(schedule="cosine", predict="x0", learn_variance=False),
    sampling=SampleConfig("dpm++", "2"),
)  # fmt: skip


SHORT = [
    "train.precision=fp32", "train.batch=2", "train.warmup=0", "train.cooldown=0", "train.save_every=100",
    "train.log_every=1", "train.evaluate_every=2",
]  # fmt: skip


def parts() -> Components:
    """An autoencoder and stage 1 with weights from the formula, so that everything matters."""
    autoencoder = filled(Autoencoder(AUTOENCODER))
    autoencoder.normal.momentum = 1.0
    autoencoder.train().encode(to_network(talking(0).faces))  # from here on its latents have unit deviation
    autoencoder.eval()
    motion = filled(LipMotion(MOTION))
    motion.space = space()
    return Components(
        Component(autoencoder, Path("autoencoder.safetensors")), Component(motion, Path("motion.safetensors"))
    )


def filled(module: M) -> M:
    """Every parameter by the formula; buffers stay."""
    kept = module.state_dict()
    buffers = {name: value.clone() for name, value in module.named_buffers() if name in kept}
    fill(module)
    module.load_state_dict(module.state_dict() | buffers)
    return module.eval().requires_grad_(False)


@seeded()
def system(*, random: bool = True, config: RendererConfig = CONFIG) -> StyleSystem:
    """Ready to sample; random: with weights of the formula instead of those that training starts from."""
    found = parts()
    renderer = Renderer(found.fitted(config))
    return registry.assemble("style", filled(renderer) if random else renderer, found)  # type: ignore[return-value]


def save(folder: Path) -> Path:
    """A folder of the three files."""
    found = parts()
    for name, kind, model in (
        ("autoencoder", "autoencoder", found.autoencoder.model),
        ("motion", "motion", found.motion.model),
        ("renderer", "style", filled(Renderer(found.fitted(CONFIG)))),
    ):
        save_checkpoint(folder / f"{name}.safetensors", registry.describe(kind, model, 1, model.state_dict()))
    return folder


def same_state(one: Path, other: Path) -> bool:
    """Whether two runs stand at the same weights, optimisers and averages, bit for bit."""
    states = [torch.load(run / "state.pt", weights_only=True) for run in (one, other)]
    return all(_same(states[0][part], states[1][part]) for part in ("weights", "optimizers", "emas"))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)
