"""From a recipe and a folder of data to trained weights: what train.py runs."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from audio.avhubert import AvHubert
from dataset import ClipBatch, Footage, Needs, PreparedClip, Windows, corpus
from errors import BadInput
from guided_diffusion.checkpoint import load_strictly, save_checkpoint
from guided_diffusion.config import to_dict
from guided_diffusion.distributed import Group, group
from guided_diffusion.interrupt import stay
from guided_diffusion.trainer import Evaluation, Trainable, Trainer

from . import progress
from .judge import FRAMES
from .objective import InpainterTraining, Judges
from .perceptual import load_lpips
from .recipes import Recipe, recipe
from .registry import Expert, Model, Speaking, build, describe, load, load_expert
from .sound import SoundEncoder
from .sync import SyncExpert
from .syncdiff import SyncDiff, SyncDiffTraining, adopt_avhubert

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
    Alone, or as one of the processes that torchrun, mpiexec or srun started.
    Raises BadInput for what cannot be, before anything is written.
    """
    chosen = recipe(name).changed(settings)
    with group() as processes:
        where = processes.device(device)
        torch.manual_seed(chosen.train.seed)
        model = build(chosen.kind, chosen.model)
        if init is not None:
            _start_from(model, init)
        if hearing is not None:
            _adopt_hearing(model, hearing)
        elif init is None:
            _check_hearing(model)
        _run(chosen, model, _trainable(chosen, model, expert, where), data, output, workers, where, processes)


def _run(
    chosen: Recipe,
    model: Model,
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
    splits = corpus(data, model.size)
    needs = model.needs if isinstance(model, Speaking) else Needs()
    _check_banks(splits["train"][0], needs, data)
    windows = Windows(splits["train"], chosen.data, batch=chosen.train.batch, seed=chosen.train.seed, needs=needs)
    evaluate = Evaluate(chosen, splits, where) if processes.main else None

    def batches(indices: range) -> Iterator[ClipBatch]:
        return (batch.to(where) for batch in _batches(windows, indices, workers))

    def publish(path: Path, step: int, weights: dict[str, Tensor]) -> None:
        save_checkpoint(path, describe(chosen.kind, model, step, weights), torch.float16)

    Trainer(
        cast(Trainable[ClipBatch], trainable),
        batches,
        chosen.train,
        output,
        averaged=model,
        identity={"system": chosen.kind, "config": to_dict(chosen.model)},
        publish=publish,
        evaluate=evaluate if evaluate is not None and evaluate.batches else None,
        device=where,
        group=processes,
    ).run()


def _batches(windows: Windows, indices: range, workers: int) -> Iterator[ClipBatch]:
    """The same batches, made here or by worker processes ahead of time."""
    if not workers:
        return (windows[index] for index in indices)
    loader: DataLoader[ClipBatch] = DataLoader(
        windows, batch_size=None, sampler=indices, num_workers=workers, worker_init_fn=stay  # type: ignore[arg-type]
    )
    return iter(loader)


def _trainable(chosen: Recipe, model: Model, expert: Path | None, where: torch.device) -> nn.Module:
    """The model with what its objective needs.  Raises BadInput if a term lacks something."""
    if isinstance(model, SyncExpert):
        if chosen.data.frames != FRAMES or chosen.data.per_clip < 2:
            raise BadInput(f"an expert learns from several windows of {FRAMES} frames a clip; set data. accordingly")
        return model
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


def _start_from(model: Model, path: Path) -> None:
    other = load(path)
    if type(other) is not type(model):
        raise BadInput(f"--init {path}: is a {type(other).__name__}; use a checkpoint of the same system")
    load_strictly(model, other.state_dict(), f"--init {path}")


def _adopt_hearing(model: Model, path: Path) -> None:
    """The sound encoder of a sync expert, or AV-HuBERT's weights as published, become the model's."""
    encoder = model.sound_encoder if isinstance(model, Speaking) else None
    if isinstance(encoder, AvHubert):
        adopt_avhubert(encoder, path, f"--hearing {path}")
        return
    expert = load_expert(path)
    if not isinstance(expert, SyncExpert):
        raise BadInput(f"--hearing {path}: its sound encoder is of another kind; train one with --system sync")
    if not isinstance(encoder, SoundEncoder):
        raise BadInput(f"--hearing {path}: what is trained has no use for an expert's hearing; leave the flag out")
    load_strictly(encoder, expert.audio_encoder.state_dict(), f"--hearing {path}")


def _check_hearing(model: Model) -> None:
    """BadInput if layers are to stay as published that nobody has loaded."""
    if isinstance(model, SyncDiff) and model.config.sound == "avhubert" and model.config.frozen:
        raise BadInput(
            "AV-HuBERT's frozen layers need its published weights: pass them with --hearing, or train on the mel with"
            " --system syncdiff-small"
        )


def _check_banks(first: Footage, needs: Needs, data: Path) -> None:
    """BadInput if the data was prepared without what the model hears; other footage is read as it is."""
    if needs.rows and isinstance(first, PreparedClip) and first.banks is None:
        raise BadInput(
            f"{data}: was prepared without the filter banks that AV-HuBERT hears; prepare it again into another folder,"
            " or train on the mel with --system syncdiff-small"
        )


class Evaluate:
    """(step, EMA weights) -> figures on the held-out splits, and a strip of samples if the model can speak."""

    def __init__(self, chosen: Recipe, splits: Mapping[str, Sequence[Footage]], where: torch.device) -> None:
        self.model = build(chosen.kind, chosen.model).to(where).eval().requires_grad_(False)
        moments = MOMENTS if isinstance(self.model, SyncExpert) else 1
        needs = self.model.needs if isinstance(self.model, Speaking) else Needs()
        self.batches = {
            split: progress.held_out_windows(
                splits[split], frames=chosen.data.frames, count=MEASURED, per_clip=moments, needs=needs
            ).to(where)
            for split in HELD_OUT
            if split in splits
        }
        if not self.batches:
            NOTES.warning("no held-out clips (%s): training without measurements", ", ".join(HELD_OUT))

    def __call__(self, step: int, weights: dict[str, Tensor]) -> Evaluation:
        self.model.load_state_dict(weights)
        figures = {
            f"{split}/{name}": value
            for split, batch in self.batches.items()
            for name, value in self._measured(batch).items()
        }
        if isinstance(self.model, SyncExpert):
            self._warn_of_chance(step, figures)
            return Evaluation(figures)
        last = self.batches[max(self.batches)]
        return Evaluation(figures, progress.strip(cast(Any, self.model), progress.every(last, 8)))

    def _measured(self, batch: ClipBatch) -> Mapping[str, float]:
        if isinstance(self.model, SyncExpert):
            return progress.matching(self.model, batch)
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
