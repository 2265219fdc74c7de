"""What a kind of model says of itself to all who load, train, generate with and measure it.

A folder `systems/NAME/` with a module `specification.py` that has SPECIFICATIONS, a tuple of these, is all that a new
system needs (CONTRIBUTING.md): `registry.py` finds it there, and nothing else in the project names it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Literal, NoReturn, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import BadValue, Mismatch
from dataset import ClipBatch, corpus
from guided_diffusion.engine.checkpoint import load_strictly
from guided_diffusion.engine.config import Config
from guided_diffusion.unet import UNet

from .components import Components
from .inpainting import Inpainter
from .lip_sync_expert import FRAMES
from .model import Model
from .objective import InpainterTraining, LossNetworks, ObjectiveConfig
from .preset import Preset
from .system import System
from .terms import Distance, SyncProbability
from .training_data import TrainingData, check_filterbanks, windows
from .validation import Validation, audio_gap, strip

C = TypeVar("C", bound=Config)
M = TypeVar("M", bound=Model)
W = TypeVar("W", bound=Model)
Role = Literal["system", "expert", "autoencoder", "motion"]
"""What a model is for: to generate faces, to judge lips against sound, to make latents, to say how lips move."""
STEM = "input_blocks.0.0.weight"  # of a UNet


def no_teacher() -> NoReturn:
    """Of a run that was given none."""
    raise BadValue("the distill term needs a teacher: pass its checkpoint with --distill, or leave the term out")


@dataclass(frozen=True)
class Teachers:
    """What judges a made face in training, and the system that a student follows; each is loaded when a term asks for
    it, and says so if it is missing."""

    sync_probability: Callable[[], SyncProbability]
    distance: Callable[[], Distance]
    system: Callable[[], Model] = no_teacher


@dataclass(frozen=True)
class Start:
    """What a run begins with, as train.py was told; None: anew."""

    init: Path | None = None
    audio_encoder: Path | None = None
    workers: int = 0


class Specification(Generic[C, M, W]):
    """One kind of model.  What is not overridden is right for a system that fills faces in (inpainting.Inpainter).

    C is its config, M what is trained and whose weights are in one file, W the whole of that and its components; of a
    kind without any they are one (SelfContained).

    kind         its name in checkpoints
    config       a frozen dataclass whose defaults are the paper's; stored in every checkpoint
    role         what the model is for
    components   the files that lie beside its weights: "autoencoder" (optional: in whose latents it works), "motion"
                 (stage 1, which says how lips move)
    presets      by the names that train.py --system knows
    windows      that validation shows of each held-out clip
    """

    kind: ClassVar[str]
    config: type[C]
    role: Role = "system"
    components: tuple[str, ...] = ()
    presets: Mapping[str, Preset[C]] = {}
    windows: int = 1

    # -- weights --------------------------------------------------------------------------------------------------

    def build(self, config: C) -> M:
        """A fresh model."""
        raise NotImplementedError

    def published(self, weights: Mapping[str, Tensor]) -> C | None:
        """The config of bare weights that others have published, recognised by their keys; None: not this kind."""
        return None

    def published_module(self, model: M) -> nn.Module:
        """The module whose weights a published file holds."""
        return model

    def assemble(self, model: M, components: Components) -> W:
        """The whole of what is trained and of what lies beside it; of the role "system" a system.System."""
        raise NotImplementedError

    # -- training -------------------------------------------------------------------------------------------------

    def check(self, preset: Preset[C], start: Start) -> None:
        """BadInput if a run cannot begin so; before anything is loaded."""

    def without_components(self) -> Components:
        """What it is trained with if train.py is given no folder of components.  BadInput if it cannot be."""
        return Components()

    def trainable(self, preset: Preset[C], model: W, teachers: Teachers) -> nn.Module:
        """The whole system as what the trainer updates: `objectives()` and `losses()`.  BadInput if a term cannot be.

        model is the system that `assemble` makes.
        """
        assert isinstance(model, Inpainter) and isinstance(preset.loss, ObjectiveConfig)
        return InpainterTraining(model, preset.loss, self.loss_networks(preset, teachers))

    def loss_networks(self, preset: Preset[C], teachers: Teachers) -> LossNetworks:
        """Who judges made faces, as far as the objective asks.  BadInput if the windows are not of their length."""
        loss, frames = preset.loss, preset.window_config.frames
        assert isinstance(loss, ObjectiveConfig)
        if loss.sync and frames != FRAMES:
            raise Mismatch(
                f"the sync term judges {FRAMES} frames at once; use --set data.frames={FRAMES} or loss.sync=0"
            )
        if loss.adversarial and frames != loss.discriminator.frames:
            raise Mismatch(
                f"the discriminator sees {loss.discriminator.frames} frames at once, the data has {frames};"
                " make data.frames and loss.discriminator.frames equal, or use --set loss.adversarial=0"
            )
        return LossNetworks(
            teachers.sync_probability() if loss.sync else None, teachers.distance() if loss.perceptual else None,
            teachers.system() if loss.distill else None,
        )  # fmt: skip

    def training_data(
        self, preset: Preset[C], model: M, components: Components, folder: Path, device: torch.device
    ) -> TrainingData:
        """What a run is fed with and measured by.  BadInput if the data lacks what the model needs."""
        whole, frames = self.assemble(model, components), preset.window_config.frames
        splits = corpus(folder, whole.size, getattr(preset.model, "framing", "box"))
        check_filterbanks(splits["train"][0], whole.needs, folder)

        def validation() -> Validation[W] | None:
            own = self.build(preset.model)
            evaluation = Validation(self, own, self.assemble(own, components), splits, frames, device)
            return evaluation if evaluation.batches else None

        return TrainingData(windows(splits["train"], preset, whole.needs, device), validation)

    # -- what it starts from ----------------------------------------------------------------------------------------

    def audio_encoder(self, model: M) -> nn.Module | None:
        """What listens, and may start from another model's; None if nothing does."""
        return getattr(model, "sound_encoder", None)

    def unet(self, model: M) -> UNet | None:
        """The network that fills faces in."""
        unet = getattr(model, "unet", None)
        return unet if isinstance(unet, UNet) else None

    def lent_unet(self, model: M) -> dict[str, Tensor] | None:
        """The weights of its UNet, for another system to start from; None if it has none."""
        unet = self.unet(model)
        return None if unet is None else dict(unet.state_dict())

    def start_from(self, model: M, other: Model, origin: "AnySpecification", where: str) -> int | None:
        """Weights of another model become this one's: all if it is of the same make, else those that fit.

        origin is the specification of the other; where names it to the user.  -> how many of the tensors start from
        it, None for all.  BadInput if none can.
        """
        same = origin.kind == self.kind
        if same and (other.config == model.config or self.unet(model) is None):
            load_strictly(model, other.state_dict(), where)
            return None
        unet, theirs = self.unet(model), origin.unet(other)
        weights = dict(theirs.state_dict()) if same and theirs is not None else origin.lent_unet(other)
        if unet is None or weights is None:
            raise Mismatch(f"{where}: is a {type(other).__name__}; use a checkpoint of the same system")
        more = unet.state_dict()[STEM].shape[1] - weights[STEM].shape[1]
        if more > 0:  # channels of pictures that the other was not shown: not looked at yet
            weights[STEM] = F.pad(weights[STEM], (0, 0, 0, 0, 0, more))
        taken = _take(model, other.state_dict()) if same else set()
        prefix = next(name for name, module in model.named_modules() if module is unet)
        taken |= {f"{prefix}.{key}" if prefix else key for key in _take(unet, weights)}
        return len(taken)

    # -- validation -------------------------------------------------------------------------------------------------

    def held_out(self, model: W, batch: ClipBatch) -> ClipBatch:
        """The held-out windows as the model is shown them."""
        return batch

    def measure(self, model: W, batch: ClipBatch) -> Mapping[str, float]:
        """Figures of the whole on held-out windows."""
        assert isinstance(model, System)
        return audio_gap(model, batch)

    def picture(self, model: W, batch: ClipBatch) -> NDArray[np.uint8] | None:
        """What it makes of some held-out windows, u8 [h, w, 3] RGB; None if it makes no pictures."""
        assert isinstance(model, System)
        return strip(model, batch)

    def warning(self, figures: Mapping[str, float]) -> str | None:
        """What a person should know of figures, named split/figure; None if nothing."""
        return None


AnySpecification = Specification[Config, Model, Model]
"""Of whichever kind: it is given only what it has built itself."""


class SelfContained(Specification[C, M, M]):
    """Of a kind whose weights are the whole: nothing lies beside them."""

    def assemble(self, model: M, components: Components) -> M:
        return model


def _take(module: nn.Module, weights: Mapping[str, Tensor]) -> set[str]:
    """The weights that fit become the module's; their names."""
    own = module.state_dict()
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    module.load_state_dict(fitting, strict=False)
    return set(fitting)
