"""Every network that ships as ONNX, for other runtimes, each checked against torch.

    pip install -r requirements-onnx.txt
    python scripts/export_onnx.py FOLDER [--only NAME ...] [--time]

NAME.onnx appears in the folder for each; the number of items (the first dimension) is free, and for the predictor of
lip motion the numbers of frames.  A network whose output differs by more than 1e-4 of its largest number is not
written.  --time: milliseconds of a batch of 8, torch in fp32, as generate.py runs it (channels-last, bf16 where the
processor has it) and onnxruntime, interleaved.  `generate.py --backend onnx` exports by itself what it needs.
"""

import copy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import torch
from torch import Tensor, nn

from audio import MELS, WINDOW
from core.errors import BadValue
from core.flags import Parser
from core.guard import guard, writes_into
from core.paths import CHECKPOINTS
from core.program import exit_code
from face_detection import landmarks, reframing
from guided_diffusion.engine.device import autocast, resolve_precision, store_weights
from lipsync.onnx import exporting
from lipsync.onnx.runtime import load_runtime
from systems import registry
from systems.diff2lip import Diff2Lip
from systems.style import LipMotion, StyleSystem
from systems.sync import SyncExpert
from systems.syncdiff import SyncDiff
from systems.syncdiff.hearing import MelHearing

TIMED = 8  # items
ROUNDS = 5


class Part(nn.Module):
    """What a network does with some tensors, as a module of its own."""

    def __init__(self, network: nn.Module, run: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self._run = network, run

    def forward(self, *tensors: Tensor) -> Any:
        return self._run(*tensors)


@dataclass(frozen=True)
class Network:
    """module: what is exported; shapes: of its inputs, by name, without the number of items; int: times in [0, 1000).

    frames: the names of dimensions besides the first that are free, by input and place.
    """

    module: nn.Module
    shapes: dict[str, tuple[int, ...] | None]
    frames: dict[str, dict[int, str]]

    def inputs(self, items: int) -> dict[str, Tensor]:
        """By their names: noise; without a shape, a time for each item."""
        generator = torch.Generator().manual_seed(items)
        return {
            name: torch.randint(0, 1000, (items,), generator=generator) if shape is None
            else torch.ones(items, *shape, dtype=torch.bool) if name.endswith("mask")
            else torch.randn(items, *shape, generator=generator)
            for name, shape in self.shapes.items()
        }  # fmt: skip


def _network(
    module: nn.Module, run: Callable[..., Any] | None = None, frames: dict[str, dict[int, str]] | None = None,
    **shapes: tuple[int, ...] | None,
) -> Network:  # fmt: skip
    part = Part(module, run or module.forward)
    return Network(part.eval().requires_grad_(False), shapes, frames or {})


def style() -> dict[str, Network]:
    """The default: the renderer in its three parts, and stage 1 in its four."""
    folder = CHECKPOINTS / "style-medium"
    system, stage1 = registry.load_system(folder), registry.load_motion(folder)
    assert isinstance(system, StyleSystem) and isinstance(stage1, LipMotion)
    renderer = system.network
    config, unet = renderer.config, renderer.config.network
    side, predictor = unet.image_size, stage1.predictor
    tokens = config.references * (config.positions // 4) ** 2
    networks = {
        "denoiser": _network(
            renderer, elements=(unet.in_channels, side, side), t=None, modulation=(config.modulation,),
            context=(tokens, config.context_dim),
        ),
        "mapping": _network(renderer.mapping, motion=(config.motion_dim,)),
        "references": _network(
            renderer.reference_encoder, references=(config.references, unet.out_channels, side, side)
        ),
        "reader": _network(stage1.reader, faces=(3, stage1.size, stage1.size)),
        "ears": _network(stage1.sound_encoder, mel=(MELS, 800)),
        "predictor": _network(
            predictor, heard=(50, predictor.config.heard), reference_heard=(75, predictor.config.heard),
            reference_motion=(75, predictor.numbers), reference_mask=(75,),
            frames={"heard": {1: "frames"}, "reference_heard": {1: "seen"}, "reference_motion": {1: "seen"},
                    "reference_mask": {1: "seen"}},
        ),
    }  # fmt: skip
    return {f"style-medium-{name}": network for name, network in networks.items()}


def diff2lip() -> dict[str, Network]:
    system = registry.load_system(registry.SMALL_DIFF2LIP)
    assert isinstance(system, Diff2Lip)
    network = system.network
    side = network.config.image_size
    return {
        "diff2lip-small-denoiser": _network(
            network, lambda x, t, style: network(x, t, style=style), x=(network.config.in_channels, side, side), t=None,
            style=(network.config.embedding,),
        ),
        "diff2lip-small-ears": _network(network, network.listen, mel=(MELS, WINDOW)),
    }  # fmt: skip


def syncdiff() -> dict[str, Network]:
    system = registry.load_system(CHECKPOINTS / "syncdiff-small.safetensors")
    assert isinstance(system, SyncDiff)
    network = system.network
    config, unet, hearing = network.config, network.config.network, network.hearing
    assert isinstance(hearing, MelHearing)

    def hear(mel: Tensor) -> Tensor:
        features = hearing.norm(hearing.encoder(mel))
        tokens: Tensor = hearing.spread(features).reshape(len(features), hearing.audio_tokens, -1)
        return tokens

    with torch.inference_mode():
        width = hear(torch.zeros(1, MELS, WINDOW)).shape[1:]
    networks = {
        "denoiser": _network(
            network, elements=(unet.in_channels, unet.image_size, unet.image_size), t=None, style=(unet.embedding,),
            context=tuple(width),
        ),
        "ears": _network(hearing, hear, mel=(MELS, WINDOW)),
    }  # fmt: skip
    if network.pose is not None:
        networks["pose"] = _network(network.pose, poses=(config.pose.history, 3, config.size, config.size))
    return {f"syncdiff-small-{name}": part for name, part in networks.items()}


def others() -> dict[str, Network]:
    """The sync expert, and the networks that find how a face lies."""
    expert = registry.load_expert(CHECKPOINTS / "sync.safetensors")
    assert isinstance(expert, SyncExpert)
    points = landmarks.Landmarks()._network
    return {
        "sync-faces": _network(expert, expert.embed_faces, faces=(5, 3, expert.size, expert.size)),
        "sync-sound": _network(expert, expert.embed_sound, speech=(MELS, WINDOW)),
        "landmarks": _network(points, faces=(3, landmarks.SIDE, landmarks.SIDE)),
        "framing": _network(reframing.load_framing(), faces=(3, reframing.SIDE, reframing.SIDE)),
    }


def networks() -> dict[str, Network]:
    """All that ship, by name."""
    return {**style(), **diff2lip(), **syncdiff(), **others()}


def export(network: Network, path: Path) -> float:
    """See lipsync.onnx.exporting.export."""
    free = {name: (0, *network.frames.get(name, ())) for name in network.shapes}
    return exporting.export(network.module, network.inputs, free, path)


def timed(network: Network, path: Path) -> dict[str, float]:
    """Milliseconds of TIMED items: medians of interleaved rounds after one to warm up.  Changes the network."""
    device = torch.device("cpu")
    runner = load_runtime(str(path)).open(path, device)
    inputs = network.inputs(TIMED)
    precision = resolve_precision("auto", device)
    feed = {name: tensor.numpy() for name, tensor in inputs.items()}

    def run(module: nn.Module, chosen: torch.dtype) -> None:
        with torch.inference_mode(), autocast(device, chosen):
            module(*inputs.values())

    usual: Any = copy.deepcopy(network.module)
    usual.to(memory_format=torch.channels_last)
    store_weights(usual, precision)
    usual._run = _bound(usual.network, network.module)
    ways: dict[str, Callable[[], object]] = {
        "torch fp32": partial(run, network.module, torch.float32),
        f"torch {precision}".replace("torch.", ""): partial(run, usual, precision),
        "onnxruntime": lambda: runner.run(None, feed),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            if turn:
                spent[name].append(1000 * (time.perf_counter() - begin))
    return {name: statistics.median(values) for name, values in spent.items()}


def _bound(copied: nn.Module, part: nn.Module) -> Callable[..., Any]:
    """What a denoiser's part runs, of a copy of its network."""
    own: Any = part
    if own._run == own.network.forward:
        return copied.forward
    return lambda x, t, style: copied(x, t, style=style)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("folder", type=writes_into)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these alone")
    parser.add_argument("--time", action="store_true", help="of the denoisers: against torch, in milliseconds")
    options = parser.parse_args()
    exporting.check_exporter("scripts/export_onnx.py")
    load_runtime("scripts/export_onnx.py")
    known = networks()
    names = options.only or list(known)
    for name in names:
        if name not in known:
            raise BadValue(f"--only {name}: there is no such network; choose of {', '.join(known)}")
    guard(parser, options, outputs=[("the network", options.folder / f"{name}.onnx") for name in names])
    for name in names:
        path = options.folder / f"{name}.onnx"
        worst = export(known[name], path)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs by {worst:.1e} of its largest number", flush=True)
        if options.time and name.endswith("denoiser"):
            spent = timed(known[name], path)
            print("  " + ", ".join(f"{way} {value:.0f} ms" for way, value in spent.items()), flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main, stopped="stopped; the networks that are said above are written"))
