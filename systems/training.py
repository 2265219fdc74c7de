"""From a preset and a prepared folder to trained weights: what train.py runs."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from dataset import Clip, ClipBatch, WindowConfig, Windows, entries, load_clip
from errors import BadInput
from guided_diffusion.checkpoint import load_strictly, save_checkpoint
from guided_diffusion.config import to_dict, with_overrides
from guided_diffusion.device import resolve_device
from guided_diffusion.trainer import TrainConfig, Trainer

from . import progress
from .diff2lip import Diff2Lip
from .registry import PRESETS, Model, build, describe, load
from .sync import SyncExpert

NOTES = logging.getLogger(__name__)
HELD_OUT = ("seen", "test")  # splits that are measured, never trained on


@dataclass(frozen=True)
class RunConfig:
    """Everything a run is made of besides its data."""

    model: Any
    train: TrainConfig = field(default_factory=TrainConfig)
    data: WindowConfig = field(default_factory=WindowConfig)


def preset(name: str) -> tuple[str, RunConfig]:
    """The kind of system and the settings that a preset stands for.  Raises BadInput on an unknown name."""
    if name not in PRESETS:
        raise BadInput(f"--system {name}: unknown; choose from {', '.join(PRESETS)}")
    kind, model = PRESETS[name]
    recipes = {
        "diff2lip-128": RunConfig(model),
        "diff2lip-small": RunConfig(
            model,
            TrainConfig(steps=20_000, batch=32, learning_rate=4e-4, warmup=100, ema=0.999, precision="bf16",
                        save_every=250, evaluate_every=500),
            WindowConfig(frames=1, margin=5, balance=0.75, zoom=0.14),
        ),
        "sync": RunConfig(
            model,
            TrainConfig(steps=2_000, batch=128, learning_rate=5e-4, warmup=50, cooldown=500, ema=0.99, precision="bf16",
                        save_every=100, log_every=20, evaluate_every=100, weight_decay=0.05),
            WindowConfig(frames=5, per_clip=8),
        ),
    }  # fmt: skip
    return kind, recipes[name]


def train(
    name: str,
    data: Path,
    output: Path,
    *,
    init: Path | None = None,
    expert: Path | None = None,
    device: str = "auto",
    workers: int = 0,
    overrides: Iterable[str] = (),
) -> None:
    """Trains a preset on the `train` split of a prepared folder, measuring on its held-out splits if it has any.

    `output` gets state.pt, log.jsonl, weights.safetensors (the EMA) and strips/STEP.png.
    """
    kind, run = preset(name)
    run = _overridden(run, overrides)
    where = resolve_device(device)
    torch.manual_seed(run.train.seed)
    model = build(kind, run.model)
    if init is not None:
        _start_from(model, init)
    if expert is not None:
        _adopt_hearing(model, expert)
    model.to(where)
    if where.type == "cuda":  # oneDNN's bf16 convolutions train faster without (docs/speed.md)
        model.to(memory_format=torch.channels_last)

    windows = Windows(load_clips(data, "train", model.size), run.data, batch=run.train.batch, seed=run.train.seed)
    averaged = build(kind, run.model).to(where).eval().requires_grad_(False)

    def publish(step: int, weights: dict[str, Tensor]) -> None:
        save_checkpoint(output / "weights.safetensors", describe(kind, model, step, weights), torch.float16)

    trainer = Trainer(
        model,
        model.objectives(),
        lambda first: (batch.to(where) for batch in _batches(windows, first, workers)),
        run.train,
        output,
        identity={"system": kind, "config": to_dict(run.model)},
        publish=publish,
        evaluate=_evaluation(averaged, data, run.data.frames, output),
        device=where,
    )
    trainer.run()


def load_clips(data: Path, split: str, size: int) -> list[Clip]:
    """All clips of a split, decoded into memory: 1.2 MB a second of 128 px faces.

    Raises BadInput if the faces of one are not size x size.
    """
    listed = tqdm(entries(data, split), desc=f"load {split}", unit="clip", disable=None)
    clips = [load_clip(entry) for entry in listed]
    for clip in clips:
        if clip.faces.shape[1:3] != (size, size):
            raise BadInput(
                f"{data / split}: {clip.name} is {clip.faces.shape[1]} px, the network takes {size};"
                f" prepare the clips with --size {size}"
            )
    return clips


def _overridden(run: RunConfig, overrides: Iterable[str]) -> RunConfig:
    """`model.x=1`, `train.y=2`, `data.z=3`, applied to the part that they name."""
    given: dict[str, list[str]] = {"model": [], "train": [], "data": []}
    for override in overrides:
        part, _, rest = override.partition(".")
        if part not in given or not rest:
            raise BadInput(f"--set {override}: begin with model., train. or data.")
        given[part].append(rest)
    return RunConfig(**{part: with_overrides(getattr(run, part), settings) for part, settings in given.items()})


def _batches(windows: Windows, first: int, workers: int) -> Iterator[ClipBatch]:
    """The same batches, made here or by worker processes ahead of time."""
    if not workers:
        return windows.from_step(first)
    sampler = range(first, first + 10**9)
    return iter(DataLoader(windows, batch_size=None, sampler=sampler, num_workers=workers, pin_memory=False))  # type: ignore[arg-type]


def _start_from(model: Model, path: Path) -> None:
    other = load(path)
    if type(other) is not type(model):
        raise BadInput(f"--init {path}: is a {type(other).__name__}; use a checkpoint of the same system")
    load_strictly(model, other.state_dict(), f"--init {path}")


def _adopt_hearing(model: Model, path: Path) -> None:
    """The sound encoder of a sync expert becomes the model's."""
    expert = load(path)
    if not isinstance(expert, SyncExpert):
        raise BadInput(f"--expert {path}: not a sync expert; train one with --system sync")
    if not isinstance(model, Diff2Lip):
        raise BadInput(f"--expert {path}: what is trained has no use for an expert's hearing; leave the flag out")
    load_strictly(model.network.audio_encoder, expert.audio_encoder.state_dict(), f"--expert {path}")


Evaluate = Callable[[int, dict[str, Tensor]], Mapping[str, float]]


def _evaluation(model: Model, data: Path, frames: int, output: Path) -> Evaluate | None:
    """(step, EMA weights) -> figures on the held-out splits that are there; None if there are none."""
    splits = [split for split in HELD_OUT if (data / split).is_dir()]
    if not splits:
        NOTES.warning("no held-out clips in %s (%s): training without measurements", data, ", ".join(HELD_OUT))
        return None
    device = next(model.parameters()).device
    batches = {
        split: progress.held_out_windows(load_clips(data, split, model.size), frames=frames, count=64).to(device)
        for split in splits
    }

    def evaluate(step: int, weights: dict[str, Tensor]) -> Mapping[str, float]:
        model.load_state_dict(weights)
        figures: dict[str, float] = {}
        for split, batch in batches.items():
            figures |= {f"{split}/{name}": value for name, value in _measured(model, batch).items()}
        if not isinstance(model, SyncExpert):
            few = ClipBatch(*(getattr(batches[splits[-1]], f)[::8] for f in ("faces", "reference", "mel", "speech")))
            _save_picture(output / "strips" / f"{step:07d}.png", progress.strip(model, few))
        return figures

    return evaluate


def _measured(model: Model, batch: ClipBatch) -> Mapping[str, float]:
    return progress.matching(model, batch) if isinstance(model, SyncExpert) else progress.hearing(model, batch)


def _save_picture(path: Path, picture: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1])
