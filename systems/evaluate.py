"""How far a training run is, on held-out clips."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from dataset import ClipBatch, Footage, Needs
from guided_diffusion.engine.trainer import Evaluation

from . import progress
from .autoencoder import Autoencoder
from .parts import Parts
from .recipes import Recipe
from .registry import Model, Network, Speaking, build, whole
from .style import StyleSystem
from .sync import SyncExpert

NOTES = logging.getLogger(__name__)
HELD_OUT = ("seen", "test")  # splits that are measured, never trained on
MEASURED = 64                # clips of each
MOMENTS = 8                  # windows of each clip that an expert has to tell apart


def complete(model: Model, parts: Parts | None) -> Model | Speaking:
    """A network with its parts as a system; everything else is complete by itself."""
    return whole(model, parts) if isinstance(model, Network) and parts is not None else model


class Evaluate:
    """(step, EMA weights) -> figures on the held-out splits, and a strip of samples if the model can speak."""

    def __init__(
        self, chosen: Recipe, splits: Mapping[str, Sequence[Footage]], where: torch.device, parts: Parts | None = None
    ) -> None:
        self.own = build(chosen.kind, chosen.model)
        self.model = complete(self.own, parts)  # which has buffers of its own beside the network's
        cast(nn.Module, self.model).to(where).eval().requires_grad_(False)
        moments = MOMENTS if isinstance(self.model, SyncExpert) else 1
        needs = self.model.needs if isinstance(self.model, Speaking) else Needs()
        self.batches = {
            split: progress.held_out_windows(
                splits[split], frames=chosen.data.frames, count=MEASURED, per_clip=moments, needs=needs
            ).to(where)
            for split in HELD_OUT
            if split in splits
        }
        if isinstance(self.model, StyleSystem):
            self.batches = {split: self.model.with_motion(batch) for split, batch in self.batches.items()}
        if not self.batches:
            NOTES.warning("no held-out clips (%s): training without measurements", ", ".join(HELD_OUT))

    def __call__(self, step: int, weights: dict[str, Tensor]) -> Evaluation:
        self.own.load_state_dict(weights)
        figures = {
            f"{split}/{name}": value
            for split, batch in self.batches.items()
            for name, value in self._measured(batch).items()
        }
        if isinstance(self.model, SyncExpert):
            self._warn_of_chance(step, figures)
            return Evaluation(figures)
        last = self.batches[max(self.batches)]
        some = progress.every(last, 8)
        if isinstance(self.model, Autoencoder):
            return Evaluation(figures, progress.restored_strip(self.model, some))
        return Evaluation(figures, progress.strip(cast(Any, self.model), some))

    def _measured(self, batch: ClipBatch) -> Mapping[str, float]:
        if isinstance(self.model, SyncExpert):
            return progress.matching(self.model, batch)
        if isinstance(self.model, Autoencoder):
            return progress.restoring(self.model, batch)
        return progress.hearing(cast(Any, self.model), batch)

    def _warn_of_chance(self, step: int, figures: Mapping[str, float]) -> None:
        stuck = [figures[f"{split}/loss"] >= 0.99 * figures[f"{split}/chance"] for split in self.batches]
        if all(stuck):
            NOTES.warning(
                "step %d: the expert still does no better than chance (%s); if it stays so, give it more clips a step"
                " (train.accumulate) and data whose sound is in sync",
                step,
                ", ".join(f"{figures[f'{split}/loss']:.3f}" for split in self.batches),
            )
