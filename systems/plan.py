"""What a training will do, said before its first step, when all that it needs has been looked at."""

import math
import shutil
import time
from pathlib import Path

import torch
from torch import nn

from core.errors import BadInput, Unwritable
from core.memory import available_memory
from dataset import Footage, PackClip, corpus
from guided_diffusion.engine.config import Config
from guided_diffusion.engine.device import process_memory
from guided_diffusion.engine.distributed import Group
from guided_diffusion.engine.storage import blob_url

from .components import Components
from .model import Model
from .preset import Preset
from .specification import AnySpecification

FLOAT = 4  # bytes of a number that is trained


def plan(
    specification: AnySpecification, chosen: Preset[Config], model: Model, components: Components, trainable: nn.Module,
    data: Path, output: Path, device: torch.device, processes: Group,
) -> str:  # fmt: skip
    """Aligned lines for a person.  Reads a first batch, unless the data is a pack, whose frames go to the device first.

    Raises BadInput if the data has not what the model needs, or memory or disk certainly do not suffice.
    """
    whole = specification.assemble(model, components)
    train, clips = chosen.train, corpus(data, whole.size, getattr(chosen.model, "framing", "box"))
    trained = sum(weight.numel() for weight in trainable.parameters() if weight.requires_grad)
    own = sum(weight.numel() for weight in model.parameters())
    learnt = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    judge = f", and a discriminator of {(trained - learnt) / 1e6:.1f} M" if trained > learnt else ""
    memory = FLOAT * (4 * trained + own * len(train.ema))  # weights, gradients, AdamW's two averages; EMA
    disk = FLOAT * (3 * trained + own * len(train.ema)) + 2 * own * (1 + train.keep)
    there, name = _memory(device)
    if memory > there:
        raise BadInput(
            f"{name}: has {there / 1e9:.1f} GB, and weights, gradients and optimiser alone take {memory / 1e9:.1f} GB;"
            " choose a smaller preset, such as diff2lip-small"
        )
    free = _free(output)
    if disk > free:
        raise Unwritable(
            f"--output {output}: {free / 1e9:.1f} GB are free, and state and weights take {disk / 1e9:.1f} GB; make"
            " room, or name a folder on another disk"
        )
    items = f"{train.batch} a process" if train.accumulate == 1 else f"{train.batch} x {train.accumulate} a process"
    ends = f"{train.minutes:g} minutes, at most {train.steps} steps" if train.minutes else f"{train.steps} steps"
    room = "a blob store" if math.isinf(free) else f"{free / 1e9:.1f} GB free"
    rows = (
        ("trains", f"{chosen.kind}, {own / 1e6:.1f} M parameters, of which {learnt / 1e6:.1f} M are trained{judge}"),
        ("data", f"{data}: {', '.join(f'{len(some)} clips {split}' for split, some in clips.items())}"),
        ("first batch", _first_batch(specification, chosen, model, components, data, device, clips["train"][0])),
        ("length", f"{ends} of {items}, saved every {train.save_every}, measured every {train.evaluate_every}"),
        ("device", f"{name}, {train.precision}; {processes.size} process{'' if processes.size == 1 else 'es'}"),
        ("memory", f"{memory / 1e9:.1f} GB a process and what a batch takes on top; {there / 1e9:.1f} GB there"),
        ("disk", f"{disk / 1e9:.1f} GB for state and weights; {room}"),
        ("makes", f"{output / 'weights.safetensors'}{' (goes on)' if (output / 'state.pt').exists() else ''}"),
    )
    return "\n".join(f"{row:<11}  {text}" for row, text in rows)


def _first_batch(
    specification: AnySpecification, chosen: Preset[Config], model: Model, components: Components, data: Path,
    device: torch.device, first: Footage,
) -> str:  # fmt: skip
    """Draws it, so that files that cannot be read are noticed now."""
    if isinstance(first, PackClip):
        return "of a pack, whose frames are read into the memory of the device first"
    begin = time.monotonic()
    specification.training_data(chosen, model, components, data, device).samples[0]
    return f"read in {time.monotonic() - begin:.1f} s"


def _memory(device: torch.device) -> tuple[float, str]:
    """Bytes that a device has, and its name."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return float(properties.total_memory), properties.name
    return available_memory() + process_memory(), str(device)


def _free(output: Path) -> float:
    """Bytes that are free where a run folder is to be."""
    if blob_url(output) is not None:
        return math.inf
    place = next(folder for folder in (output.absolute(), *output.absolute().parents) if folder.exists())
    return float(shutil.disk_usage(place).free)
