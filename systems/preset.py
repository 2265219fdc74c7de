"""How a model is trained: its settings in four sections, which train.py --system names and --set changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import BadValue
from dataset import WindowConfig
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.engine.config import with_overrides
from guided_diffusion.engine.train_config import TrainConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig

SECTIONS = ("model", "loss", "train", "data")


@dataclass(frozen=True)
class NoObjective:
    """The settings of an objective that has none."""


@dataclass(frozen=True)
class Preset:
    """kind: of the model, as checkpoints name it; loss: its terms; train: the trainer's; data: how it is drawn."""

    kind: str
    model: Any
    loss: Any = field(default_factory=NoObjective)
    train: TrainConfig = field(default_factory=TrainConfig)
    data: Any = field(default_factory=WindowConfig)

    def changed(self, settings: Iterable[str]) -> "Preset":
        """With settings such as model.x=1, loss.y=2, train.z=3, data.w=4.  Raises BadInput on one that cannot be."""
        by_section: dict[str, list[str]] = {section: [] for section in SECTIONS}
        for setting in settings:
            section, _, rest = setting.partition(".")
            if section not in by_section or not rest:
                raise BadValue(f"--set {setting}: begin with {', '.join(f'{name}.' for name in SECTIONS)}")
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
SMALL_SAMPLING: dict[str, Any] = {
    "sampling": SampleConfig(sampler="dpm++", spacing="3"),
    "fast": SampleConfig(sampler="dpm++", spacing="2"),
    "best": SampleConfig(sampler="dpm++", spacing="4"),
}
