"""What a training run is fed with, and what it is measured by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor

from core.errors import Mismatch
from dataset import Footage, Needs, PackClip, PreparedClip, Resident, Windows
from guided_diffusion.engine.config import Config
from guided_diffusion.engine.loading import Samples
from guided_diffusion.engine.trainer import Evaluation

from .preset import Preset

Measurement = Callable[[int, dict[str, Tensor]], Evaluation]
"""(step, EMA weights) -> figures and a picture"""


class Batch(Protocol):
    """Whatever the objective of a model takes, from dataset.ClipBatch on."""

    def to(self, device: torch.device, /) -> Self: ...


@dataclass(frozen=True)
class TrainingData:
    """samples[index] is a batch, the same whoever asks; validation() is what measures a run, None if nothing can."""

    samples: Samples[Batch]
    validation: Callable[[], Measurement | None]


def windows(clips: Sequence[Footage], preset: Preset[Config], needs: Needs, device: torch.device) -> Windows | Resident:
    """Batches of windows.  The frames of a pack lie on the device; everything else is read from the disk."""
    config, batch, seed = preset.window_config, preset.train.batch, preset.train.seed
    packed = [clip for clip in clips if isinstance(clip, PackClip)]
    if packed:
        return Resident(packed, config, batch=batch, seed=seed, needs=needs, device=device)
    return Windows(clips, config, batch=batch, seed=seed, needs=needs)


def check_filterbanks(first: Footage, needs: Needs, data: Path) -> None:
    """BadInput if the data was prepared without what the model hears; other footage is read as it is."""
    if needs.filterbanks and isinstance(first, PreparedClip) and first.banks is None:
        raise Mismatch(
            f"{data}: was prepared without the filter banks that AV-HuBERT hears; prepare it again into another folder,"
            " or train on the mel with --system syncdiff-small"
        )
