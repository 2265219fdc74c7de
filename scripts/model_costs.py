"""What every preset costs: parameters, FLOP a face, memory of a training step, days for its steps.  No GPU needed.

    python scripts/model_costs.py [--system NAME ...] [--batch N] [--tflops RATE] [--vgg]
    python scripts/model_costs.py --confirm style-small [--batch 4]

FLOP and memory come from a training step on tensors without contents (torch's FakeTensorMode): every term of the
objective but the perceptual one (--vgg counts it, by the features of a VGG-16), forward and backward, in the preset's
precision.  A style preset whose network sees patches of pixels is counted in pixels, as it ships, others in the latents
of the autoencoder of their size; a preset of stage 1 has its parameters alone.  Of SyncDiff's own frames as pose the
arithmetic counts, by the share of sequences that have them.

forward      GFLOP a face of one step of the denoiser, what it is told included; multiplying and adding are two
training     GFLOP a face of a training step: the forward and backward of everything in it
memory       GB: the weights, their averages and AdamW's two moments in fp32, the batch, and the most that was alive at
             once of all else, gradients among it, in the forward and the backward.  What kernels take for themselves
             and an allocator wastes come on top, see --confirm.  At the smallest batch, and at --batch; without
             gradient checkpointing
faces/s      of a GPU that does RATE TFLOP/s and waits for nothing: an upper bound
days         of the steps, on 1 and on 8 GPUs that each do RATE TFLOP/s and wait for nothing: a lower bound

--confirm runs real steps of a small preset on the CPU, in a process of its own for each of two batches, and compares
how much the peak grows by a sequence with what was estimated.
"""

import math
import multiprocessing
import sys
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from core.errors import BadValue
from core.flags import Parser
from core.program import exit_code
from dataset import ClipBatch
from guided_diffusion.engine.config import Config
from guided_diffusion.engine.device import PRECISIONS, autocast
from guided_diffusion.engine.trainer import Trainable
from systems.components import Component, Components
from systems.inpainting import Inpainter, Masked, SpaceConfig
from systems.model import Model
from systems.perceptual import VGG, VggFeatures
from systems.preset import Preset
from systems.registry import find_preset, presets, specifications
from systems.specification import Teachers
from systems.style import RendererConfig, StyleSystem
from systems.sync import SyncExpert
from systems.syncdiff.training import SyncDiffObjective
from systems.terms import SyncProbability

K = TypeVar("K", bound=Masked)  # the conditions of a system

CPU = torch.device("cpu")
PAPER_STEPS = {"diff2lip-128": 260_000}  # of the released file; those of the other papers are not known
SECONDS_A_DAY = 86_400
MEGA, GIGA, TERA = 1e6, 1e9, 1e12


@dataclass(frozen=True)
class Cost:
    """parameters, and those that are trained; GFLOP a face, forward and of a training step; GB of memory.

    forward: None for what does not denoise.
    """

    parameters: int
    trained: int
    forward: float | None
    training: float
    memory: float


def as_counted(preset: Preset[Config], *, vgg: bool = False) -> Preset[Config]:
    """The preset in the space that it is trained in, without the perceptual term unless that is by a VGG-16."""
    changes = ["loss.perceptual=0"] if hasattr(preset.loss, "perceptual") and not vgg else []
    in_pixels = isinstance(preset.model, RendererConfig) and preset.model.unet.patch > 1
    return preset.changed([*changes, *(["model.latents=[]"] if in_pixels else [])])


def single(preset: Preset[Config]) -> tuple[Preset[Config], int, float]:
    """(the same in frames by themselves, how many a sequence has, steps of the denoiser that each costs besides).

    Whether a sequence gets its own frames as pose is drawn, which tensors without contents cannot decide.
    """
    loss = preset.loss
    if not isinstance(loss, SyncDiffObjective) or not loss.own_output:
        return preset, 1, 0.0
    alone = preset.changed(["loss.own_output=0", "data.frames=1"])
    return alone, preset.window_config.frames, loss.own_output * int(loss.own_steps)


def trainable_of(preset: Preset[Config]) -> tuple[nn.Module, Model, Model]:
    """(what the trainer updates, the whole system, the model whose weights are averaged), of fresh weights."""
    specification = specifications()[preset.kind]
    components = Components(*(_fresh(name, preset) for name in ("autoencoder", "motion")))
    model = specification.build(preset.model)
    whole = specification.assemble(model, components)

    def sync_probability() -> SyncProbability:
        sync = find_preset("sync")
        expert = specifications()[sync.kind].build(sync.model).requires_grad_(False)
        assert isinstance(expert, SyncExpert)
        return expert.sync_probability

    def distance() -> VggFeatures:
        sizes = [(f"{number}.{part}", shape) for number, (into, out) in enumerate(VGG)
                 for part, shape in (("weight", (out, into, 3, 3)), ("bias", (out,)))]  # fmt: skip
        return VggFeatures({name: torch.zeros(shape) for name, shape in sizes}, "nothing")

    return specification.trainable(preset, whole, Teachers(sync_probability, distance)), whole, model


def _fresh(name: str, preset: Preset[Config]) -> Component[Any] | None:
    """An autoencoder, if the preset works in latents, and stage 1, if it has one: of their presets."""
    config = preset.model
    if name not in specifications()[preset.kind].components:
        return None
    assert isinstance(config, SpaceConfig)
    if name == "autoencoder" and not config.latents:
        return None
    of_size = f"autoencoder-{config.unet.image_size}"
    autoencoder = of_size if of_size in presets() else "autoencoder"
    other = find_preset("motion-reader" if name == "motion" else autoencoder)
    model = other.changed([f"model.size={config.unet.image_size}"]).model
    return Component(specifications()[other.kind].build(model).eval().requires_grad_(False), Path(name))


def a_batch(preset: Preset[Config], whole: Model, sequences: int) -> ClipBatch:
    """Noise of the shapes that the preset's data would have."""
    needs = whole.needs
    b, t, s = sequences, preset.window_config.frames, whole.size
    several = torch.rand(b, t, needs.references, 3, s, s) * 2 - 1 if needs.references > 1 else None
    return ClipBatch(
        faces=torch.rand(b, t, 3, s, s) * 2 - 1,
        reference=torch.rand(b, t, 3, s, s) * 2 - 1,
        audio={condition.name: torch.rand(b, t, *condition.shape) for condition in needs.audio},
        speech=torch.rand(b, 80, 16),
        clip=torch.arange(b) // preset.window_config.per_clip,
        before=torch.rand(b, needs.before, 3, s, s) * 2 - 1 if needs.before else None,
        references=several,
    )


class Peak(TorchDispatchMode):
    """The most bytes that were alive at once of all that was made while it is on, as an allocator without loss has it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self._alive = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for value in tree_leaves(output):
            if isinstance(value, Tensor):
                self._add(value.untyped_storage())
        return output

    def watch(self, tensors: Iterable[Tensor]) -> None:
        """What was there before, which is not counted."""
        self._known.update(value.untyped_storage()._cdata for value in tensors)

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._alive += size
        self.bytes = max(self.bytes, self._alive)
        weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._alive -= size


def cost(preset: Preset[Config], sequences: int) -> Cost:
    """Of a training step of so many sequences, of a preset `as_counted`."""
    preset, times, besides = single(preset)
    sequences *= times
    with FakeTensorMode(allow_non_fake_inputs=True):
        trainable, whole, model = trainable_of(preset)
        learnt = cast(Trainable[ClipBatch], trainable)
        batch = a_batch(preset, whole, sequences)
        forward = _forward(whole, batch) if isinstance(whole, Inpainter) else None
        peak = Peak()
        peak.watch([*trainable.parameters(), *trainable.buffers(), *_tensors(batch)])
        with FlopCounterMode(display=False) as counter, peak:
            with autocast(CPU, PRECISIONS[preset.train.precision]):
                terms = learnt.losses(batch, torch.Generator())
            total: Any = sum(value for part in terms.values() for value in part.values())
            del terms
            total.backward()
    trained = _count(p for group in learnt.objectives().values() for p in group)
    everything = _count(trainable.parameters())
    averaged = _count(model.parameters()) * len(preset.train.ema)
    faces = sequences * preset.window_config.frames
    held = sum(value.numel() * value.element_size() for value in _tensors(batch))
    memory = 4 * (everything + averaged + 2 * trained) + held + peak.bytes
    training = counter.get_total_flops() / faces / GIGA + besides * (forward or 0)
    return Cost(_count(whole.parameters()), trained, forward, training, memory / GIGA)


def _forward(whole: Inpainter[K], batch: ClipBatch) -> float:
    """GFLOP a face of one step of the denoiser with all that it is told."""
    clips = whole.with_motion(batch) if isinstance(whole, StyleSystem) else batch
    x0 = whole.encode(clips.faces.flatten(0, 1))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        whole.denoise(x0, torch.zeros(len(x0), dtype=torch.int64), whole.conditions(clips, x0))
    return float(counter.get_total_flops()) / len(x0) / GIGA


def _count(parameters: Iterable[Tensor]) -> int:
    return sum(value.numel() for value in parameters)


def _tensors(batch: ClipBatch) -> list[Tensor]:
    return [value for value in (*vars(batch).values(), *batch.audio.values()) if isinstance(value, Tensor)]


def table(names: Sequence[str], batch: int, tflops: float, *, vgg: bool) -> None:
    """Prints a row for each preset."""
    days = " faces/s | days on 1, 8 GPUs |" if tflops else ""
    print(f"| preset | parameters, M | GFLOP a face: forward, training | memory, GB: batch 1 | batch | memory, GB |"
          f" steps | faces |{days}")  # fmt: skip
    print("|" + "---|" * (8 + 2 * bool(tflops)))
    for name in names:
        preset = as_counted(find_preset(name), vgg=vgg)
        if preset.kind == "motion":
            model = trainable_of(preset)[2]
            print(f"| {name} | {_count(model.parameters()) / MEGA:.1f} |" + "  |" * (6 + 2 * bool(tflops)), flush=True)
            continue
        least, sequences = preset.window_config.per_clip, batch or preset.train.batch
        one, whole = cost(preset, least), cost(preset, sequences)
        steps = PAPER_STEPS.get(name, preset.train.steps)
        faces = steps * preset.train.batch * preset.train.accumulate * preset.window_config.frames
        forward = f"{one.forward:.2f}" if one.forward is not None else "-"
        row = [
            name, f"{one.parameters / MEGA:.1f}", f"{forward}, {one.training:.1f}", f"{one.memory:.2f}",
            f"{sequences} x {preset.window_config.frames}", f"{whole.memory:.1f}", f"{steps:,}",
            f"{faces / MEGA:.2f} M",
        ]  # fmt: skip
        if tflops:
            alone = faces * one.training * GIGA / (tflops * TERA) / SECONDS_A_DAY
            row += [f"{tflops * TERA / (one.training * GIGA):.0f}", f"{alone:.3g}, {alone / 8:.2g}"]
        print("| " + " | ".join(row) + " |", flush=True)


def measured(name: str, sequences: int) -> int:
    """Bytes at the peak of a process that made two real steps (Linux)."""
    import resource  # which Windows lacks

    preset, times, _ = single(as_counted(find_preset(name)))
    sequences *= times
    trainable, whole, _ = trainable_of(preset)
    learnt = cast(Trainable[ClipBatch], trainable)
    optimizer = torch.optim.AdamW(p for group in learnt.objectives().values() for p in group)
    for _ in range(2):
        with autocast(CPU, PRECISIONS[preset.train.precision]):
            terms = learnt.losses(a_batch(preset, whole, sequences), torch.Generator())
        total: Any = sum(value for part in terms.values() for value in part.values())
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def confirm(name: str, batch: int) -> None:
    """Prints how much a sequence costs, measured and estimated."""
    preset = as_counted(find_preset(name))
    if preset.kind == "motion":
        raise BadValue(f"--confirm {name}: is not estimated either; choose another preset")
    low, high = batch, 3 * batch
    fresh = multiprocessing.get_context("spawn")
    peaks = []
    for sequences in (low, high):
        with ProcessPoolExecutor(1, fresh) as pool:
            peaks.append(pool.submit(measured, name, sequences).result())
    real = (peaks[1] - peaks[0]) / (high - low) / MEGA
    estimated = (cost(preset, high).memory - cost(preset, low).memory) / (high - low) * GIGA / MEGA
    frames = preset.window_config.frames
    print(f"{name}, {low} and {high} sequences of {frames}: one more takes {real:.1f} MB at the peak,"
          f" {estimated:.1f} MB estimated ({real / estimated:.2f} times)")  # fmt: skip


def main(args: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("--system", nargs="+", metavar="NAME", help="presets (all of them)")
    parser.add_argument("--batch", type=int, default=0, help="sequences (the preset's)")
    parser.add_argument("--tflops", type=float, default=0.0, metavar="RATE", help="TFLOP/s that a GPU really does")
    parser.add_argument("--vgg", action="store_true", help="count the perceptual term, by the features of a VGG-16")
    parser.add_argument("--confirm", metavar="NAME", help="compare the estimate with real steps on the CPU")
    options = parser.parse_args(args)

    def work() -> None:
        if options.batch < 0 or not 0 <= options.tflops < math.inf:
            raise BadValue("--batch and --tflops are above 0; correct them")
        if options.confirm is not None:
            confirm(options.confirm, options.batch or 4)
        else:
            table(options.system or list(presets()), options.batch, options.tflops, vgg=options.vgg)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
