"""Training steps of the presets of the papers' sizes on a GPU: memory and speed of each, in seconds, of made-up data.

    python scripts/benchmark_presets.py [--system NAME ...] [--seconds 5] [--limit 17] [--batch N]
                                        [--set SECTION.NAME=VALUE ...] [--device auto] [--output FILE]

Each preset is trained as train.py trains it (its own precision, batch, optimiser and average; cuDNN's search, channels
last), in a process of its own, on one batch of noise that lies on the device: nothing waits for data.  An update
follows every micro-batch, also where the preset sums several.  Terms that need weights of others are left out or made
up: no LPIPS; the sync expert, the autoencoder and the reader of lip motion are fresh ones of their presets.  Two steps
to warm up, then as many as fit into --seconds.  A batch that the memory has no room for is halved.  What fails, or is
not ready --limit seconds after it was begun (its imports aside), is a row that says so, and the others go on: five
presets take at most 90 s.

Rows are printed as they come, --output keeps the figures as JSON.
"""

import gc
import itertools
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
from core.atomic import atomic
from core.errors import BadInput, BatchFailed, lacks_memory
from core.flags import Parser
from core.guard import guard, writes
from core.program import exit_code

if TYPE_CHECKING:
    import argparse

    import torch

    from guided_diffusion.engine.config import Config
    from systems.preset import Preset

PAPER = ("diff2lip-128", "syncdiff-128", "style-128", "diff2lip-256", "style-256")
WARM_UP = 2  # steps; the first chooses the kernels
PATIENCE = 90.0  # seconds for the imports of a process
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Measured:
    """Of one preset.

    parameters, trained   of the whole system; those that are updated
    batch, frames         sequences of a micro-batch, and frames of each
    gflop                 GFLOP a face of a training step, as torch counts them in the first step
    steps, seconds        micro-batches that were timed, and how long they took
    first                 seconds from the start to the end of the warm-up
    memory, reserved      GB: the most that tensors took in a timed step, and what the allocator held
    faces_to_train        those of all steps of the paper, or of the preset where the paper's are not known
    """

    preset: str
    device: str
    precision: str
    parameters: int
    trained: int
    batch: int
    frames: int
    gflop: float
    steps: int
    seconds: float
    first: float
    memory: float
    reserved: float
    faces_to_train: int

    @property
    def faces_a_second(self) -> float:
        return self.steps * self.batch * self.frames / self.seconds

    @property
    def row(self) -> str:
        rate = self.faces_a_second
        days = self.faces_to_train / rate / SECONDS_A_DAY
        cells = [
            self.preset, f"{self.batch} x {self.frames}, {self.precision}", f"{self.parameters / 1e6:.1f}",
            f"{self.gflop:.1f}", f"{self.memory:.1f} ({self.reserved:.1f})", f"{1e3 * self.seconds / self.steps:.0f}",
            f"{rate:.1f}", f"{rate * self.gflop / 1e3:.1f}", f"{days:.3g}, {days / 8:.3g}",
        ]  # fmt: skip
        return "| " + " | ".join(cells) + " |"


HEAD = """| preset | micro-batch | parameters, M | GFLOP a face | memory, GB (held) | ms a micro-batch | faces/s \
| TFLOP/s | days on 1, 8 GPUs |
|---|---|---|---|---|---|---|---|---|"""


def measure(name: str, settings: Sequence[str], batch: int, seconds: float, limit: float, device: str) -> Measured:
    """Steps of a preset.  BadInput if not even one sequence has room in the memory."""
    import torch

    from guided_diffusion.engine.device import resolve_device
    from systems.registry import find_preset

    end = time.monotonic() + limit
    target = resolve_device(device)
    preset = find_preset(name).changed(settings)
    if hasattr(preset.loss, "perceptual"):
        preset = preset.changed(["loss.perceptual=0"])
    sequences = batch or preset.train.batch
    while sequences >= preset.window_config.per_clip:
        try:
            return _steps(name, preset, sequences, min(seconds, limit), end, target)
        except RuntimeError as problem:
            if not lacks_memory(problem):
                raise
        gc.collect()  # the graph that did not fit
        torch.cuda.empty_cache()
        sequences //= 2
    raise BadInput(f"{name}: not even {preset.window_config.per_clip} sequences have room in the memory of {target}")


def _steps(
    name: str, preset: "Preset[Config]", sequences: int, seconds: float, end: float, device: "torch.device"
) -> Measured:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from guided_diffusion.engine.device import peak_memory
    from guided_diffusion.engine.distributed import Group
    from guided_diffusion.engine.ema import Ema
    from guided_diffusion.engine.train_step import Update
    from guided_diffusion.engine.trainer import Checkpointing
    from scripts.model_costs import PAPER_STEPS, a_batch, trainable_of

    begin = time.monotonic()
    cuda = device.type == "cuda"
    torch.manual_seed(0)
    with torch.device(device):
        trainable, whole, model = trainable_of(preset)
        batch = a_batch(preset, whole, sequences)
    trainable.to(device)
    if cuda:
        trainable.to(memory_format=torch.channels_last)
        torch.backends.cudnn.benchmark = True
    for part in trainable.modules():
        if isinstance(part, Checkpointing):
            part.gradient_checkpointing = preset.train.gradient_checkpointing
            if preset.train.compile:
                part.compile()
    config = replace(preset.train, batch=sequences, accumulate=1, steps=1_000_000)
    update: Any = Update(trainable, config, device, Group())  # type: ignore[arg-type]
    emas = [Ema(model, rate) for rate in config.ema]
    batches = itertools.repeat(batch.to(device))

    def step(number: int) -> None:
        update(batches, number, lambda: False)  # waits for the device
        for ema in emas:
            ema.update(model)

    with FlopCounterMode(display=False) as counter:
        step(0)
    for number in range(1, WARM_UP):
        step(number)
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    steps = 0
    while not steps or time.monotonic() < min(started + seconds, end):
        step(WARM_UP + steps)
        steps += 1
    if cuda:
        torch.cuda.synchronize()
    spent = time.monotonic() - started
    train, frames = preset.train, preset.window_config.frames
    return Measured(
        preset=name, device=torch.cuda.get_device_name(device) if cuda else str(device), precision=train.precision,
        parameters=sum(weight.numel() for weight in whole.parameters()),
        trained=sum(weight.numel() for group in trainable.objectives().values() for weight in group),  # type: ignore[operator]
        batch=sequences, frames=frames, gflop=counter.get_total_flops() / sequences / frames / 1e9,
        steps=steps, seconds=spent, first=started - begin, memory=peak_memory(device),
        reserved=torch.cuda.max_memory_reserved(device) / 1e9 if cuda else 0.0,
        faces_to_train=PAPER_STEPS.get(name, train.steps) * train.batch * train.accumulate * frames,
    )  # fmt: skip


def _child(work: Connection, *task: Any) -> None:
    """Imports, waits until it is its turn, and sends what it measured."""
    import scripts.model_costs  # noqa: F401

    def made() -> None:
        work.send("ready")
        work.recv()
        work.send(measure(*task))

    sys.exit(exit_code(made))


class Trial:
    """A preset in a process of its own."""

    def __init__(self, name: str, *task: Any) -> None:
        self.name = name
        fresh = multiprocessing.get_context("spawn")
        self._ours, theirs = fresh.Pipe()
        self._process = fresh.Process(target=_child, args=(theirs, name, *task), daemon=True)
        self._process.start()
        theirs.close()

    def run(self, limit: float) -> Measured | str:
        """What was measured, or why it was not."""
        try:
            if self._heard(PATIENCE) is None:
                return f"was not ready {PATIENCE:.0f} s after its start"
            self._ours.send("go")
            figures = self._heard(limit + 1)
        except (EOFError, BrokenPipeError):
            self._process.join()
            return f"failed with exit code {self._process.exitcode}; the reason is above"
        return figures if isinstance(figures, Measured) else f"had no figures after {limit:.0f} s"

    def _heard(self, seconds: float) -> Any:
        return self._ours.recv() if self._ours.poll(seconds) else None

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def main(args: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("--system", nargs="+", metavar="NAME", default=list(PAPER), help="presets")
    parser.add_argument("--seconds", type=float, default=5.0, help="to time steps for, of each preset")
    parser.add_argument("--limit", type=float, default=17.0, help="seconds for each preset, its imports aside")
    parser.add_argument("--batch", type=int, default=0, help="sequences of a micro-batch (the preset's)")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE",
                        help="any setting of the presets, as train.py takes them")  # fmt: skip
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=writes, metavar="FILE", help="the figures, as JSON")
    options = parser.parse_args(args)
    guard(parser, options)

    def work() -> None:
        if options.batch < 0 or min(options.seconds, options.limit) <= 0:
            raise BadInput("--batch, --seconds and --limit are above 0; correct them")
        measure_all(options)

    return exit_code(work)


def measure_all(options: "argparse.Namespace") -> None:
    """Prints a row for each preset.  BadInput for one that there is none of, BatchFailed if some have no figures."""
    task = (options.settings, options.batch, options.seconds, options.limit, options.device)
    names, trials, rows = list(options.system), [], []
    try:
        trials.append(Trial(names[0], *task))  # its imports while this process has its own
        from systems.registry import find_preset

        for name in names:
            find_preset(name).changed(options.settings)
        print(HEAD, flush=True)
        for number, name in enumerate(names):
            if number + 1 < len(names):  # imports while this one computes
                trials.append(Trial(names[number + 1], *task))
            outcome = trials[number].run(options.limit)
            trials[number].end()
            if isinstance(outcome, Measured):
                rows.append(outcome)
            print(outcome.row if isinstance(outcome, Measured) else f"| {name} | {outcome} |" + "  |" * 7, flush=True)
    finally:
        for trial in trials:
            trial.end()
    if rows:
        print(f"\n{rows[0].device}")
    if options.output is not None:
        figures = [asdict(one) | {"faces_a_second": one.faces_a_second} for one in rows]
        with atomic(options.output) as path:
            path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if len(rows) < len(names):
        raise BatchFailed(f"{len(names) - len(rows)} of {len(names)} presets have no figures; their rows say why")


if __name__ == "__main__":
    sys.exit(main())
