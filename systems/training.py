"""From a preset and a folder of data to trained weights: what train.py runs."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.errors import BadValue, Mismatch
from core.lock import locked
from dataset.pack import SOUND_OFFSETS
from guided_diffusion.engine.checkpoint import load_strictly, save_checkpoint
from guided_diffusion.engine.compiling import compiler_problem
from guided_diffusion.engine.config import Config, from_dict, to_dict
from guided_diffusion.engine.distributed import Group, group
from guided_diffusion.engine.loading import batches_of
from guided_diffusion.engine.storage import blob_url
from guided_diffusion.engine.trainer import Trainable, Trainer
from guided_diffusion.unet import UNet

from .components import Components
from .distillation import Teacher
from .initialisation import adopt_audio_encoder, start_from
from .model import Model
from .perceptual import load_features, load_lpips
from .plan import plan
from .preset import Preset, Samplings
from .registry import components_in, describe, find_preset, load_expert, specifications
from .specification import AnySpecification, Start, Teachers
from .terms import Distance, SyncProbability
from .training_data import Batch


def train(
    name: str,
    data: Path,
    output: Path,
    *,
    init: Path | None = None,
    audio_encoder: Path | None = None,
    expert: Path | None = None,
    features: Path | None = None,
    components: Path | None = None,
    distill: Path | None = None,
    device: str = "auto",
    workers: int = 0,
    settings: Iterable[str] = (),
    dry_run: Callable[[str], object] | None = None,
) -> bool:
    """Trains a preset on the `train` split of the data, measuring on its held-out splits if it has any.

    data     what --data of train.py reads: as published, prepared, in shards or packed
    output   what `Trainer` writes; the same call goes on where it stopped
    init     a checkpoint of the same kind to start from
    audio_encoder  what to listen with at the start: a sync expert, AV-HuBERT or Whisper as published
    expert   the sync expert that judges, for the sync term
    features the first layers of a VGG-16, for the perceptual term; None: LPIPS
    components  the folder of an autoencoder, in whose latents faces are filled in, and for a style system of stage 1
    distill  a checkpoint of the same kind whose samples are to be made in loss.distill_steps steps; the model is of its
             make and begins as it
    dry_run  is told the plan when everything was looked at that the first step needs; nothing is trained or written
    workers  processes that prepare batches ahead of time; 0: this one does, when it needs them
    Alone, or as one of the processes that torchrun, mpiexec or srun started; -> whether this is the main one of them.
    Raises BadInput for what cannot be, before anything is written.
    """
    named = find_preset(name)
    specification = specifications()[named.kind]
    with group() as processes:
        teacher = None if distill is None else Teacher(distill, specification)
        if teacher is not None:
            named = teacher.preset(named)
            if components is None and specification.components:
                components = teacher.folder
        parts = _components(specification, components)
        preset = named.changed([*(parts.settings if specification.components else ()), *settings])
        own_device = processes.device(device)
        torch.manual_seed(preset.train.seed)
        if specification.components:
            preset = replace(preset, model=parts.fitted(preset.model))
        if teacher is not None:
            preset = teacher.student(preset)
        specification.check(preset, Start(init, audio_encoder, workers))
        model = specification.build(preset.model)
        if teacher is not None:
            load_strictly(model, teacher.model.state_dict(), f"--distill {distill}")
        if init is not None:
            start_from(specification, model, init)
        if audio_encoder is not None:
            adopt_audio_encoder(specification, model, audio_encoder)
        teachers = _teachers(expert, features, teacher, parts, own_device, compiled=preset.train.compile)
        trainable = specification.trainable(preset, specification.assemble(model, parts), teachers)
        if blob_url(output) is None:
            parts.check_beside(output)
        if dry_run is not None:
            dry_run(plan(specification, preset, model, parts, trainable, data, output, own_device, processes))
            return False
        alone = processes.main and blob_url(output) is None
        with locked(output / ".lock", output) if alone else nullcontext():
            _run(specification, preset, model, parts, trainable, data, output, workers, own_device, processes)
        return processes.main


def _run(
    specification: AnySpecification,
    chosen: Preset[Config],
    model: Model,
    components: Components,
    trainable: nn.Module,
    data: Path,
    output: Path,
    workers: int,
    device: torch.device,
    processes: Group,
) -> None:
    trainable.to(device)
    if device.type == "cuda":  # oneDNN's bf16 convolutions train faster without (docs/speed.md)
        trainable.to(memory_format=torch.channels_last)
        torch.backends.cudnn.benchmark = True  # batches are of one shape: the quickest kernels are worth a search
    fed = specification.training_data(chosen, model, components, data, device)

    def batches(indices: range) -> Iterator[Batch]:
        return (batch.to(device) for batch in batches_of(fed.samples, indices, workers))

    kept: set[str] = set()

    def publish(path: Path, step: int, weights: dict[str, Tensor]) -> None:
        save_checkpoint(path, describe(chosen.kind, model, step, weights), torch.float16)
        for component in components.put_beside(path):
            if component not in kept:
                trainer.store.keep(component)
                kept.add(component)

    def upgraded(identity: dict[str, Any]) -> dict[str, Any]:
        if identity["system"] != chosen.kind:
            return identity
        known: Any = from_dict(specification.config, identity["config"], str(output))
        ways = {name: getattr(chosen.model, name) for name in Samplings.__annotations__ if hasattr(known, name)}
        return identity | {"config": to_dict(replace(known, **ways))}  # how it samples changes nothing that is learned

    trainer = Trainer(
        cast(Trainable[Batch], trainable),
        batches,
        chosen.train,
        output,
        averaged=model,
        identity={"system": chosen.kind, "config": to_dict(chosen.model)},
        upgraded=upgraded,
        settings={
            "loss": to_dict(chosen.loss), "data": to_dict(chosen.data), SOUND_OFFSETS: _stamp(data / SOUND_OFFSETS),
        },
        publish=publish,
        evaluate=fed.validation() if processes.main else None,
        device=device,
        group=processes,
    )
    trainer.run()


def _stamp(file: Path) -> str:
    """What is in a file, as 16 hexadecimal digits; "none" where it is not."""
    return hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest() if file.is_file() else "none"


def _components(specification: AnySpecification, folder: Path | None) -> Components:
    """What a network is trained with.  BadInput if something is missing, or it never has components."""
    if folder is None:
        return specification.without_components()
    if not specification.components:
        raise Mismatch(f"--components {folder}: what is trained has no components; leave the flag out")
    return components_in(folder, specification)


def _teachers(
    expert: Path | None, features: Path | None, teacher: Teacher | None, components: Components, device: torch.device,
    *, compiled: bool,
) -> Teachers:  # fmt: skip
    def sync_probability() -> SyncProbability:
        if expert is None:
            raise BadValue(
                "the sync term needs a sync expert: train one with --system sync and pass it with --expert,"
                " or leave the term out with --set loss.sync=0"
            )
        return load_expert(expert).to(device).sync_probability

    def distance() -> Distance:
        network = (load_lpips() if features is None else load_features(features)).to(device)
        if compiled and compiler_problem(device) is None:
            network.compile(dynamic=False)
        return network

    if teacher is None:
        return Teachers(sync_probability, distance)

    def system() -> Model:
        teacher_system = teacher.system(components, device)
        for network in teacher_system.modules() if compiled and compiler_problem(device) is None else ():
            if isinstance(network, UNet):
                network.compile()
        return teacher_system

    return Teachers(sync_probability, distance, system)
