"""From a recipe and a folder of data to trained weights: what train.py runs."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.errors import BadInput
from core.lock import locked
from guided_diffusion.engine.checkpoint import save_checkpoint
from guided_diffusion.engine.config import to_dict
from guided_diffusion.engine.distributed import Group, group
from guided_diffusion.engine.loading import batches_of
from guided_diffusion.engine.storage import blob_url
from guided_diffusion.engine.trainer import Trainable, Trainer

from .autoencoder import Autoencoder
from .evaluate import complete
from .judge import FRAMES
from .material import material
from .objective import InpainterTraining, Judges
from .parts import Parts
from .perceptual import load_features, load_lpips
from .recipes import Recipe, recipe
from .registry import Expert, Model, Speaking, build, describe, load_expert, parts_in
from .starting import adopt_hearing, check_hearing, check_stage1, start_from
from .style import LipMotion, PredictorTraining, ReaderTraining, ReadingObjective, RendererTraining, StyleSystem
from .sync import SyncExpert
from .syncdiff import SyncDiff, SyncDiffTraining


def train(
    name: str,
    data: Path,
    output: Path,
    *,
    init: Path | None = None,
    hearing: Path | None = None,
    expert: Path | None = None,
    features: Path | None = None,
    parts: Path | None = None,
    device: str = "auto",
    workers: int = 0,
    settings: Iterable[str] = (),
) -> bool:
    """Trains a preset on the `train` split of the data, measuring on its held-out splits if it has any.

    data     a prepared folder, or VoxCeleb2 or LRW as published
    output   what `Trainer` writes; the same call goes on where it stopped
    init     a checkpoint of the same kind to start from
    hearing  what to listen with at the start: a sync expert, or AV-HuBERT as published
    expert   the sync expert that judges, for the sync term
    features the first layers of a VGG-16, for the perceptual term; None: LPIPS
    parts    the folder of an autoencoder, in whose latents faces are filled in, and for a style system of stage 1
    workers  processes that prepare batches ahead of time; 0: this one does, when it needs them
    Alone, or as one of the processes that torchrun, mpiexec or srun started; -> whether this is the main one of them.
    Raises BadInput for what cannot be, before anything is written.
    """
    preset = recipe(name)
    with group() as processes:
        found = _parts(preset, parts)
        chosen = preset.changed(settings if found is None else [*found.settings, *settings])
        where = processes.device(device)
        torch.manual_seed(chosen.train.seed)
        if found is not None:
            chosen = replace(chosen, model=found.fitted(chosen.model))
        model = build(chosen.kind, chosen.model)
        if init is not None:
            start_from(model, init)
        if hearing is not None:
            adopt_hearing(model, hearing)
        elif init is None:
            check_hearing(model)
        check_stage1(chosen, init, hearing, workers)
        trainable = _trainable(chosen, complete(model, found), expert, features, where)
        alone = processes.main and blob_url(output) is None
        with locked(output / ".lock", output) if alone else nullcontext():
            _run(chosen, model, found, trainable, data, output, workers, where, processes)
        return processes.main


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
        torch.backends.cudnn.benchmark = True  # batches are of one shape: the quickest kernels are worth a search
    found = material(chosen, model, parts, data, where)

    def batches(indices: range) -> Iterator[Any]:
        return (batch.to(where) for batch in batches_of(found.samples, indices, workers))

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


def _parts(chosen: Recipe, folder: Path | None) -> Parts | None:
    """What a network is trained with; None for models that never have parts.  BadInput if something is missing."""
    if chosen.kind not in ("syncdiff", "style"):
        if folder is not None:
            raise BadInput(f"--parts {folder}: what is trained has no parts; leave the flag out")
        return None
    if folder is not None:
        return parts_in(folder, chosen.model, training=True)
    if chosen.kind == "syncdiff":
        return Parts()
    raise BadInput(
        "a renderer needs stage 1: train it with --system motion, put it into a folder as motion.safetensors, beside"
        " autoencoder.safetensors of --system autoencoder to render in latents, and pass the folder with --parts"
    )


def _trainable(
    chosen: Recipe, model: Model | Speaking, expert: Path | None, features: Path | None, where: torch.device
) -> nn.Module:
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
    looks = None
    if loss.perceptual:
        looks = (load_lpips() if features is None else load_features(features)).to(where)
        if chosen.train.compile:
            looks.compile()
    judges = Judges(None if judge is None else judge.agreement, looks)
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
