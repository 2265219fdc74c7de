"""What a training run feeds on, and what it is measured by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import BadInput
from dataset import Footage, Needs, PackClip, PreparedClip, Resident, Windows, corpus
from guided_diffusion.engine.checkpoint import load_strictly
from guided_diffusion.engine.device import PRECISIONS
from guided_diffusion.engine.trainer import Evaluation

from .evaluate import HELD_OUT, Evaluate, complete
from .parts import Parts
from .recipes import Recipe
from .registry import Model, Speaking
from .style import SPACE, FaceData, LipMotion, MotionEvaluate, MotionSpace, labelled, motion_samples


@dataclass(frozen=True)
class Material:
    """What a run feeds on: samples[index] is a batch, the same whoever asks; and what it is measured by, if at all."""

    samples: Any
    evaluate: Callable[[], Callable[[int, dict[str, Tensor]], Evaluation] | None]


def material(chosen: Recipe, model: Model, parts: Parts | None, data: Path, where: torch.device) -> Material:
    """For any model.  Raises BadInput if the data has not what it needs."""
    if isinstance(model, LipMotion):
        return _motion_material(chosen, model, data, where)
    splits = corpus(data, model.size, getattr(chosen.model, "framing", "box"))
    system = complete(model, parts)
    needs = system.needs if isinstance(system, Speaking) else Needs()
    _check_banks(splits["train"][0], needs, data)
    windows = _windows(splits["train"], chosen, needs, where)

    def evaluate() -> Evaluate | None:
        made = Evaluate(chosen, splits, where, parts)
        return made if made.batches else None

    return Material(windows, evaluate)


def _windows(clips: Sequence[Footage], chosen: Recipe, needs: Needs, where: torch.device) -> Windows | Resident:
    """A pack lies on the device; everything else is read from the disk."""
    batch, seed = chosen.train.batch, chosen.train.seed
    packed = [clip for clip in clips if isinstance(clip, PackClip)]
    if packed:
        return Resident(packed, chosen.data, batch=batch, seed=seed, needs=needs, device=where)
    return Windows(clips, chosen.data, batch=batch, seed=seed, needs=needs)


def _motion_material(chosen: Recipe, model: LipMotion, data: Path, where: torch.device) -> Material:
    """Faces with their motion for a reader, which takes the space that they are known in; sequences for a predictor."""
    if isinstance(chosen.data, FaceData):
        load_strictly(model.space, MotionSpace.load(data / SPACE, model.space.numbers).state_dict(), str(data / SPACE))
    clips = labelled(data, model.size, model.space.cpu())
    model.space.to(where)
    held_out = {split: clips[split] for split in HELD_OUT if split in clips}
    drawn, precision = chosen.train, PRECISIONS[chosen.train.precision]
    samples = motion_samples(model, chosen.data, clips["train"], drawn.batch, drawn.seed, precision)

    def evaluate() -> MotionEvaluate | None:
        return MotionEvaluate(chosen.model, model, chosen.data, held_out, where, precision) if held_out else None

    return Material(samples, evaluate)


def _check_banks(first: Footage, needs: Needs, data: Path) -> None:
    """BadInput if the data was prepared without what the model hears; other footage is read as it is."""
    if needs.rows and isinstance(first, PreparedClip) and first.banks is None:
        raise BadInput(
            f"{data}: was prepared without the filter banks that AV-HuBERT hears; prepare it again into another folder,"
            " or train on the mel with --system syncdiff-small"
        )
