"""How a model is trained: its settings in four sections, which train.py --system names and --set changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypedDict, TypeVar

from core.errors import BadValue
from dataset import WindowConfig
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.engine.config import Config, with_overrides
from guided_diffusion.engine.train_config import TrainConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig

C = TypeVar("C", bound=Config, covariant=True)

SECTIONS = ("model", "loss", "train", "data")


@dataclass(frozen=True)
class NoObjective:
    """The settings of an objective that has none."""


@dataclass(frozen=True)
class Preset(Generic[C]):
    """kind: of the model, as checkpoints name it; loss: its terms; train: the trainer's; data: how it is drawn."""

    kind: str
    model: C
    loss: Config = field(default_factory=NoObjective)
    train: TrainConfig = field(default_factory=TrainConfig)
    data: Config = field(default_factory=WindowConfig)

    @property
    def window_config(self) -> WindowConfig:
        """`data` of a preset that learns from windows of clips, as all do but those of stage 1."""
        assert isinstance(self.data, WindowConfig)
        return self.data

    def changed(self, settings: Iterable[str]) -> "Preset[C]":
        """With settings such as model.x=1, loss.y=2, train.z=3, data.w=4.  Raises BadInput on one that cannot be."""
        by_section: dict[str, list[str]] = {section: [] for section in SECTIONS}
        for setting in settings:
            section, _, rest = setting.partition(".")
            if section not in by_section or not rest:
                raise BadValue(f"--set {setting}: begin with {', '.join(f'{name}.' for name in SECTIONS)}")
            if isinstance(getattr(self, section), NoObjective):
                raise BadValue(f"--set {setting}: this objective has no settings; leave it out")
            by_section[section].append(rest)
        by_section["train"] = self._shrunk(by_section["train"]) + by_section["train"]
        sections = {name: with_overrides(getattr(self, name), changes) for name, changes in by_section.items()}
        return replace(self, **sections)

    def _shrunk(self, given: Sequence[str]) -> list[str]:
        """A warm-up and a cool-down for a run that is shorter than those of the preset, each the share that it had."""
        steps = next((text for name, _, text in (one.partition("=") for one in reversed(given)) if name == "steps"), "")
        if not steps.isdecimal() or self.train.warmup + self.train.cooldown <= int(steps):
            return []
        share = int(steps) / self.train.steps
        return [f"{name}={int(getattr(self.train, name) * share)}" for name in ("warmup", "cooldown")]


class Samplings(TypedDict):
    """How a config samples, in each quality."""

    sampling: SampleConfig
    fast: SampleConfig
    best: SampleConfig


# Of the sizes that are ours and ship (`small`, `medium`); the papers' are the defaults of the configs.
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
    schedule="cosine", predict="x0", learn_variance=False, high_noise_fraction=0.7, high_noise_range=0.15
)
SMALL_SAMPLING = Samplings(
    sampling=SampleConfig(sampler="dpm++", spacing="3"),
    fast=SampleConfig(sampler="dpm++", spacing="2"),
    best=SampleConfig(sampler="dpm++", spacing="4"),
)
SMALL_HEARING = Samplings(
    sampling=SampleConfig(sampler="dpm++", spacing="3", audio_strength=1.5),
    fast=SMALL_SAMPLING["fast"],
    best=SampleConfig(sampler="dpm++", spacing="4", audio_strength=1.5),
)
"""Of small networks that hear themselves, whose mouths open as far as real ones so (docs/experiments.md)."""
