"""From a recipe and a folder of data to trained weights: what train.py runs."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dataset import ClipBatch, Footage, Needs, PreparedClip, Windows, corpus
from errors import BadInput
from guided_diffusion.checkpoint import load_strictly, save_checkpoint
from guided_diffusion.config import to_dict
from guided_diffusion.device import PRECISIONS
from guided_diffusion.distributed import Group, group
from guided_diffusion.interrupt import stay
from guided_diffusion.trainer import Evaluation, Trainable, Trainer

from . import progress
from .judge import FRAMES
from .objective import InpainterTraining, Judges
from .perceptual import load_lpips
from .recipes import Recipe, recipe
from .registry import Expert, Model, Speaking, build, describe, load_expert, load_parts
from .starting import adopt_hearing, check_hearing, check_stage1, start_from
from .style import (
    SPACE,
    Autoencoder,
    FaceData,
    LipMotion,
    MotionEvaluate,
    MotionSpace,
    Parts,
    PredictorTraining,
    ReaderTraining,
    ReadingObjective,
    Renderer,
    RendererTraining,
    StyleSystem,
    labelled,
    motion_samples,
    parts_in,
)
from .sync import SyncExpert
from .syncdiff import SyncDiff, SyncDiffTraining

NOTES = logging.getLogger(__name__)
HELD_OUT = ("seen", "test")  # splits that are measured, never trained on
MEASURED = 64                # clips of each
MOMENTS = 8                  # windows of each clip that an expert has to tell apart


def train(
    name: str,
    data: Path,
    output: Path,
    *,
    init: Path | None = None,
    hearing: Path | None = None,
    expert: Path | None = None,
    parts: Path | None = None,
    device: str = "auto",
    workers: int = 0,
    settings: Iterable[str] = (),
) -> None:
    """Trains a preset on the `train` split of the data, measuring on its held-out splits if it has any.

    data     a prepared folder, or VoxCeleb2 or LRW as published
    output   what `Trainer` writes; the same call goes on where it stopped
    init     a checkpoint of the same kind to start from
    hearing  what to listen with at the start: a sync expert, or AV-HuBERT as published
    expert   the sync expert that judges, for the sync term
    parts    the folder of an autoencoder and stage 1, for a renderer
    Alone, or as one of the processes that torchrun, mpiexec or srun started.
    Raises BadInput for what cannot be, before anything is written.
    """
    chosen = recipe(name).changed(settings)
    with group() as processes:
        where = processes.device(device)
        torch.manual_seed(chosen.train.seed)
        with_parts = _parts(chosen, parts)
        if with_parts is not None:
            chosen = replace(chosen, model=with_parts.fitted(chosen.model))
        model = build(chosen.kind, chosen.model)
        if init is not None:
            start_from(model, init)
        if hearing is not None:
            adopt_hearing(model, hearing)
        elif init is None:
            check_hearing(model)
        check_stage1(chosen, init, hearing)
        system = _whole(model, with_parts)
        trainable = _trainable(chosen, system, expert, where)
        _run(chosen, model, with_parts, trainable, data, output, workers, where, processes)


def _run(
    chosen: Recipe,
    model: Model,
    parts: Parts | None,
    trainable: nn.Module,
    data: Path,
    output: Path,
    workers: int,
    where: torch.device,
    processes: Group,
) -> None:
    trainable.to(where)
    if where.type == "cuda":  # oneDNN's bf16 convolutions train faster without (docs/speed.md)
        trainable.to(memory_format=torch.channels_last)
    if isinstance(model, LipMotion):
        found = _motion_material(chosen, model, data, where)
    else:
        found = _material(chosen, model, parts, data, where)

    def batches(indices: range) -> Iterator[Any]:
        return (batch.to(where) for batch in _batches(found.samples, indices, workers))

    def publish(path: Path, step: int, weights: dict[str, Tensor]) -> None:
        save_checkpoint(path, describe(chosen.kind, model, step, weights), torch.float16)
        if parts is not None:
            parts.put_beside(path)

    Trainer(
        cast(Trainable[Any], trainable),
        batches,
        chosen.train,
        output,
        averaged=model,
        identity={"system": chosen.kind, "config": to_dict(chosen.model)},
        settings={"loss": to_dict(chosen.loss), "data": to_dict(chosen.data)},
        publish=publish,
        evaluate=found.evaluate() if processes.main else None,
        device=where,
        group=processes,
    ).run()


@dataclass(frozen=True)
class Material:
    """What a run feeds on: samples[index] is a batch, the same whoever asks; and what it is measured by, if at all."""

    samples: Any
    evaluate: Callable[[], Callable[[int, dict[str, Tensor]], Evaluation] | None]


def _material(chosen: Recipe, model: Model, parts: Parts | None, data: Path, where: torch.device) -> Material:
    splits = corpus(data, model.size)
    system = _whole(model, parts)
    needs = system.needs if isinstance(system, Speaking) else Needs()
    _check_banks(splits["train"][0], needs, data)
    windows = Windows(splits["train"], chosen.data, batch=chosen.train.batch, seed=chosen.train.seed, needs=needs)

    def evaluate() -> Evaluate | None:
        made = Evaluate(chosen, splits, where, parts)
        return made if made.batches else None

    return Material(windows, evaluate)


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


def _batches(samples: Any, indices: range, workers: int) -> Iterator[Any]:
    """The same batches, made here or by worker processes ahead of time."""
    if not workers:
        return (samples[index] for index in indices)
    loader: DataLoader[Any] = DataLoader(
        samples, batch_size=None, sampler=indices, num_workers=workers, worker_init_fn=stay
    )
    return iter(loader)


def _parts(chosen: Recipe, folder: Path | None) -> Parts | None:
    """What a renderer is trained with; None for whatever needs nothing.  Raises BadInput if it is missing."""
    if chosen.kind != "style":
        if folder is not None:
            raise BadInput(f"--parts {folder}: what is trained has no parts; leave the flag out")
        return None
    if folder is None:
        raise BadInput(
            "a renderer needs an autoencoder and stage 1: train them with --system autoencoder and --system motion,"
            " put them into a folder as autoencoder.safetensors and motion.safetensors, and pass that with --parts"
        )
    return load_parts(*parts_in(folder))


def _whole(model: Model, parts: Parts | None) -> Model | StyleSystem:
    """A renderer with its parts; everything else is whole by itself."""
    return parts.system(model, "the renderer") if parts is not None and isinstance(model, Renderer) else model


def _trainable(chosen: Recipe, model: Model | StyleSystem, expert: Path | None, where: torch.device) -> nn.Module:
    """The model with what its objective needs.  Raises BadInput if a term lacks something."""
    if isinstance(model, SyncExpert):
        if chosen.data.frames != FRAMES or chosen.data.per_clip < 2:
            raise BadInput(f"an expert learns from several windows of {FRAMES} frames a clip; set data. accordingly")
        return model
    if isinstance(model, Autoencoder):
        return model
    if isinstance(model, LipMotion):
        reads = isinstance(chosen.loss, ReadingObjective)
        return ReaderTraining(model, chosen.loss) if reads else PredictorTraining(model, chosen.loss)
    if not isinstance(model, Speaking):
        raise BadInput(f"a {type(model).__name__} is not trained here, only loaded")
    loss, frames = chosen.loss, chosen.data.frames
    if loss.sync and frames != FRAMES:
        raise BadInput(f"the sync term judges {FRAMES} frames at once; use --set data.frames={FRAMES} or loss.sync=0")
    if loss.adversarial and frames != loss.discriminator.frames:
        raise BadInput(
            f"the discriminator sees {loss.discriminator.frames} frames at once, the data has {frames};"
            " make data.frames and loss.discriminator.frames equal, or use --set loss.adversarial=0"
        )
    judge = _judge(expert).to(where) if loss.sync else None
    lpips = load_lpips().to(where) if loss.perceptual else None
    judges = Judges(None if judge is None else judge.agreement, lpips)
    if isinstance(model, StyleSystem):
        return RendererTraining(model, loss, judges)
    if not isinstance(model, SyncDiff):
        return InpainterTraining(model, loss, judges)
    if loss.own_output and frames < 2:
        raise BadInput(
            "own frames as pose need sequences: use --set data.frames=2, or leave them out with --set loss.own_output=0"
        )
    return SyncDiffTraining(model, loss, judges)


def _judge(path: Path | None) -> Expert:
    if path is None:
        raise BadInput(
            "the sync term needs a sync expert: train one with --system sync and pass it with --expert,"
            " or leave the term out with --set loss.sync=0"
        )
    return load_expert(path)


def _check_banks(first: Footage, needs: Needs, data: Path) -> None:
    """BadInput if the data was prepared without what the model hears; other footage is read as it is."""
    if needs.rows and isinstance(first, PreparedClip) and first.banks is None:
        raise BadInput(
            f"{data}: was prepared without the filter banks that AV-HuBERT hears; prepare it again into another folder,"
            " or train on the mel with --system syncdiff-small"
        )


class Evaluate:
    """(step, EMA weights) -> figures on the held-out splits, and a strip of samples if the model can speak."""

    def __init__(
        self, chosen: Recipe, splits: Mapping[str, Sequence[Footage]], where: torch.device, parts: Parts | None = None
    ) -> None:
        self.own = build(chosen.kind, chosen.model).to(where).eval().requires_grad_(False)
        self.model = _whole(self.own, parts)
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
