"""How each system is trained: its presets, which train.py knows by name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import BadInput
from dataset import WindowConfig
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.engine.config import with_overrides
from guided_diffusion.engine.train_config import TrainConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig

from .autoencoder import AutoencoderConfig
from .diff2lip import Diff2LipConfig
from .objective import ObjectiveConfig
from .sound import SoundConfig
from .style import (
    FaceData,
    LipMotionConfig,
    PredictingObjective,
    PredictorConfig,
    ReadingObjective,
    RendererConfig,
    RendererObjective,
    SequenceData,
)
from .sync import SyncConfig
from .syncdiff import SyncDiffConfig, SyncDiffObjective

PARTS = ("model", "loss", "train", "data")


@dataclass(frozen=True)
class Nothing:
    """The settings of an objective that has none."""


@dataclass(frozen=True)
class Recipe:
    """kind: of the model, as the registry names it; loss: what the objective is made of; data: how it is drawn."""

    kind: str
    model: Any
    loss: Any = field(default_factory=Nothing)
    train: TrainConfig = field(default_factory=TrainConfig)
    data: Any = field(default_factory=WindowConfig)

    def changed(self, settings: Iterable[str]) -> "Recipe":
        """With settings such as model.x=1, loss.y=2, train.z=3, data.w=4.  Raises BadInput on one that cannot be."""
        given: dict[str, list[str]] = {part: [] for part in PARTS}
        for setting in settings:
            part, _, rest = setting.partition(".")
            if part not in given or not rest:
                raise BadInput(f"--set {setting}: begin with {', '.join(f'{part}.' for part in PARTS)}")
            given[part].append(rest)
        given["train"] = self._shrunk(given["train"]) + given["train"]
        parts = {name: with_overrides(getattr(self, name), changes) for name, changes in given.items()}
        return replace(self, **parts)

    def _shrunk(self, given: Sequence[str]) -> list[str]:
        """A warm-up and a cool-down for a run that is shorter than those of the preset, each the share that it had."""
        steps = next((text for name, _, text in (one.partition("=") for one in reversed(given)) if name == "steps"), "")
        if not steps.isdecimal() or self.train.warmup + self.train.cooldown <= int(steps):
            return []
        share = int(steps) / self.train.steps
        return [f"{name}={int(getattr(self.train, name) * share)}" for name in ("warmup", "cooldown")]


def recipe(name: str) -> Recipe:
    """The recipe of a preset.  Raises BadInput on an unknown name."""
    if name not in RECIPES:
        raise BadInput(f"--system {name}: unknown; choose from {', '.join(RECIPES)}")
    return RECIPES[name]


SMALL_UNET = UNetConfig(
    channels=64,
    channel_mult=(1, 2, 3),
    res_blocks=1,
    attention_resolutions=(8,),
    out_channels=3,
    scale_shift_norm=True,
    residual_resampling=False,
    patch=4,
)
SMALL_DIFFUSION = DiffusionConfig(
    schedule="cosine", predict="x0", learn_variance=False, noisy=0.7, noisy_region=0.15
)

# The paper's network and objective are the defaults of their configs; `small` is ours, and what ships.
RECIPES = {
    "diff2lip-128": Recipe("diff2lip", Diff2LipConfig(), ObjectiveConfig()),
    "diff2lip-small": Recipe(
        "diff2lip",
        Diff2LipConfig(
            unet=SMALL_UNET,
            sound=SoundConfig(res_blocks=1, positions=True),
            diffusion=SMALL_DIFFUSION,
            sampling=SampleConfig(sampler="dpm++", spacing="3"),
            fast=SampleConfig(sampler="dpm++", spacing="2"),
            best=SampleConfig(sampler="dpm++", spacing="4"),
            fill="zeros",
        ),
        ObjectiveConfig(
            reconstruction=0.0, sync=0.0, perceptual=0.0, adversarial=0.0, x0_scale="plain", shared_step=False,
            mouth=15.0, train_sound_encoder=False,
        ),
        TrainConfig(
            steps=20_000, batch=32, learning_rate=4e-4, warmup=100, ema=(0.999,), precision="bf16",
            save_every=250, evaluate_every=500,
        ),
        WindowConfig(frames=1, margin=5, balance=0.5, zoom=0.14, voices=6),
    ),
    "syncdiff-128": Recipe("syncdiff", SyncDiffConfig(), SyncDiffObjective(), data=WindowConfig(frames=1)),
    "syncdiff-small": Recipe(
        "syncdiff",
        SyncDiffConfig(
            unet=SMALL_UNET,
            sound="mel",
            mel=SoundConfig(res_blocks=1),
            tokens=16,
            diffusion=SMALL_DIFFUSION,
            sampling=SampleConfig(sampler="dpm++", spacing="3"),
            fast=SampleConfig(sampler="dpm++", spacing="2"),
            best=SampleConfig(sampler="dpm++", spacing="4"),
        ),
        SyncDiffObjective(
            x0_scale="plain", shared_step=False, mouth=15.0, train_sound_encoder=False, own_output=0.25, own_steps="2",
        ),
        TrainConfig(
            steps=20_000, batch=16, learning_rate=4e-4, warmup=100, ema=(0.999,), precision="bf16",
            save_every=250, evaluate_every=500,
        ),
        WindowConfig(frames=2, margin=5, balance=0.75, zoom=0.14, voices=6),
    ),
    "sync": Recipe(
        "sync",
        SyncConfig(),
        train=TrainConfig(
            steps=1_500, batch=160, learning_rate=5e-4, warmup=50, cooldown=500, ema=(0.99,), precision="bf16",
            weight_decay=0.05, save_every=100, log_every=20, evaluate_every=100,
        ),
        data=WindowConfig(frames=5, per_clip=8, balance=0.5, voices=6, zoom=0.14),
    ),
    "autoencoder": Recipe(
        "autoencoder",
        AutoencoderConfig(),
        train=TrainConfig(
            steps=2_500, batch=4, learning_rate=1e-3, warmup=50, cooldown=1_250, ema=(0.99,), precision="bf16",
            save_every=250, evaluate_every=250,
        ),
        data=WindowConfig(frames=1, balance=0.5, zoom=0.14),
    ),
    "style-small": Recipe(
        "style",
        RendererConfig(
            unet=replace(SMALL_UNET, attention_resolutions=(16, 8)),
            beside=1,
            diffusion=SMALL_DIFFUSION,
            sampling=SampleConfig(sampler="dpm++", spacing="3"),
            fast=SampleConfig(sampler="dpm++", spacing="2"),
            best=SampleConfig(sampler="dpm++", spacing="4"),
        ),
        RendererObjective(x0_scale="plain", shared_step=False, mouth=15.0, motion=0.1),
        TrainConfig(
            steps=20_000, batch=16, learning_rate=4e-4, warmup=100, ema=(0.999,), precision="bf16",
            save_every=250, evaluate_every=500,
        ),
        WindowConfig(frames=1, margin=5, balance=0.5, zoom=0.14),
    ),
    "style-medium": Recipe(
        "style",
        RendererConfig(
            latents=(),
            unet=replace(
                SMALL_UNET, channels=32, channel_mult=(2, 3, 4, 6), patch=2, attention_resolutions=(16, 8)
            ),
            ordered=True,
            beside=2,
            framing="aligned",
            diffusion=SMALL_DIFFUSION,
            sampling=SampleConfig(sampler="dpm++", spacing="3"),
            fast=SampleConfig(sampler="dpm++", spacing="2"),
            best=SampleConfig(sampler="dpm++", spacing="4"),
        ),
        RendererObjective(
            x0_scale="plain", shared_step=False, mouth=15.0, motion=0.1, perceptual=0.08,
        ),
        TrainConfig(
            steps=20_000, batch=128, learning_rate=5e-4, warmup=200, ema=(0.999,), precision="bf16",
            save_every=1000, evaluate_every=1000,
        ),
        WindowConfig(
            frames=1, margin=5, balance=0.5, zoom=0.08, turn=4.0, apart=0.02, bend=0.012, colour=0.06
        ),
    ),
    "motion-reader": Recipe(
        "motion",
        LipMotionConfig(),
        ReadingObjective(),
        TrainConfig(
            steps=1_200, batch=64, learning_rate=1e-3, warmup=50, cooldown=800, ema=(0.99,), precision="bf16",
            save_every=200, evaluate_every=200,
        ),
        FaceData(),
    ),
    "motion": Recipe(
        "motion",
        LipMotionConfig(predictor=PredictorConfig(ears="whisper")),
        PredictingObjective(range=1.0, closed=1.0),
        TrainConfig(
            steps=600, batch=32, learning_rate=5e-4, weight_decay=0.05, warmup=100, cooldown=450, ema=(0.99,),
            precision="bf16", save_every=200, evaluate_every=200,
        ),
        SequenceData(),
    ),
}  # fmt: skip
