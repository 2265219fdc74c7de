"""A training step of Diff2Lip in several ways: time and peak memory, as ratios to plain fp32, measured in one run.

    python scripts/benchmark_training.py [--system diff2lip-128] [--batch 1] [--steps 3] [--compile] [--device auto]

The batch is random, `batch` sequences of 5 frames; the terms that need published weights (sync, LPIPS) are left out,
the discriminator is not.  Each way runs in a process of its own, since memory once used is not given back.
--compile adds torch.compile, which takes minutes before the first step.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import itertools
import multiprocessing
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataset import ClipBatch
from guided_diffusion.device import peak_memory, resolve_device
from guided_diffusion.distributed import Group
from guided_diffusion.train_config import TrainConfig
from guided_diffusion.unet import UNet
from guided_diffusion.update import Update
from systems.objective import InpainterTraining, Judges
from systems.recipes import recipe
from systems.registry import build

FRAMES = 5


@dataclass(frozen=True)
class Way:
    precision: str = "fp32"
    checkpointing: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        extras = [" + gradient checkpointing"] * self.checkpointing + [" + compile"] * self.compiled
        return self.precision + "".join(extras)


def random_batch(batch: int, size: int) -> ClipBatch:
    faces = torch.rand(batch, FRAMES, 3, size, size) * 2 - 1
    return ClipBatch(faces, faces.flip(1), torch.randn(batch, FRAMES, 80, 16), torch.randn(batch, 80, 16))


def measure(way: Way, system: str, batch: int, steps: int, device: torch.device) -> tuple[float, float]:
    """Median seconds of a step after the first, and the peak memory in GB."""
    chosen = recipe(system)
    model = build(chosen.kind, chosen.model).to(device)
    loss = replace(chosen.loss, sync=0.0, perceptual=0.0, adversarial=0.5)
    trained = InpainterTraining(model, loss, Judges()).to(device)  # type: ignore[arg-type]
    for part in trained.modules():
        if isinstance(part, UNet):
            part.gradient_checkpointing = way.checkpointing
            if way.compiled:
                part.compile()
    config = TrainConfig(precision=way.precision, warmup=0)  # type: ignore[arg-type]
    update = Update(trained, config, device, Group())
    batches = itertools.repeat(random_batch(batch, model.size).to(device))
    spent = []
    for step in range(steps + 1):
        begin = time.perf_counter()
        update(batches, step, lambda: False)  # ends by reading its figures, so the device has finished
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent[1:]), peak_memory(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", default="diff2lip-128", choices=("diff2lip-128", "diff2lip-small"))
    parser.add_argument("--batch", type=int, default=1, help=f"sequences of {FRAMES} frames")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each way")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = resolve_device(options.device)
    ways = [Way(), Way(checkpointing=True), Way("bf16"), Way("bf16", checkpointing=True)]
    ways += [Way("bf16", compiled=True)] * options.compile
    print(f"{options.system}, {options.batch} x {FRAMES} frames, {device}, torch {torch.__version__}\n")
    print("| a training step | seconds | times as fast | peak memory, GB |\n|---|---|---|---|")
    plain = None
    fresh = multiprocessing.get_context("spawn")
    for way in ways:
        with fresh.Pool(1) as pool:
            seconds, memory = pool.apply(measure, (way, options.system, options.batch, options.steps, device))
        plain = plain or seconds
        print(f"| {way} | {seconds:.2f} | {plain / seconds:.2f} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
