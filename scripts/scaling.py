"""Training on many GPUs, on paper: gradients against the link between them, the loader against their hunger.

    python scripts/scaling.py --tflops RATE [--gpus 64] [--link 50] [--loader 1327] [--system NAME ...]

tflops   that one GPU really does in training (docs/training.md says how that was found)
link     GB/s that each GPU can send, while it receives as much; 50 is one InfiniBand NDR port (400 Gb/s) a GPU
loader   faces/s of one process that prepares batches, as `python -m dataset.check DATA` measures it

gradients     MB that each step's gradients have, fp32
exchange      ms for them: a ring sends 2 (n - 1) / n times as much from each GPU.  DistributedDataParallel hides it
              behind the backward pass as long as it is shorter than that; here it is set against the whole step
step          ms of a step's arithmetic on each GPU, at the preset's batch on each
efficiency    step / (step + exchange): if nothing were hidden, so a lower bound as far as the link goes
faces/s       that one GPU and all of them eat
processes     of the loader that one GPU needs
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
from core.errors import BadValue
from core.flags import Parser
from core.program import exit_code
from scripts.model_costs import GIGA, MEGA, TERA, as_counted, cost
from systems.registry import find_preset, presets

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Scaled:
    """A preset on n GPUs.  gradients: bytes; exchange, step: seconds; faces: a second that one GPU eats."""

    gradients: float
    exchange: float
    step: float
    faces: float

    @property
    def efficiency(self) -> float:
        return self.step / (self.step + self.exchange)


def scaled(trained: int, gflop_a_face: float, faces: int, gpus: int, *, tflops: float, link: float) -> Scaled:
    """trained: parameters; faces: of a step on one GPU, all its micro-batches; link: GB/s."""
    gradients = trained * FLOAT
    exchange = 2 * (gpus - 1) / gpus * gradients / (link * GIGA)
    step = faces * gflop_a_face * GIGA / (tflops * TERA)
    return Scaled(gradients, exchange, step, faces / (step + exchange))


def table(names: Sequence[str], options: argparse.Namespace) -> None:
    """Prints a row for each preset that fills faces in."""
    print("| preset | faces a step and GPU | gradients, MB | exchange, ms | step, ms | efficiency | faces/s of a GPU |"
          f" of {options.gpus} | loader processes a GPU |")  # fmt: skip
    print("|" + "---|" * 9)
    for name in names:
        preset = as_counted(find_preset(name))
        if preset.kind == "motion":
            continue  # minutes on one core
        one = cost(preset, preset.window_config.per_clip)
        faces = preset.train.batch * preset.train.accumulate * preset.window_config.frames
        figures = scaled(one.trained, one.training, faces, options.gpus, tflops=options.tflops, link=options.link)
        print(
            f"| {name} | {faces} | {figures.gradients / MEGA:.0f} | {1000 * figures.exchange:.1f}"
            f" | {1000 * figures.step:.0f}"
            f" | {figures.efficiency:.1%} | {figures.faces:,.0f} | {figures.faces * options.gpus:,.0f}"
            f" | {math.ceil(figures.faces / options.loader)} |",
            flush=True,
        )


def main(args: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("--tflops", type=float, required=True, metavar="RATE")
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--link", type=float, default=50.0, metavar="GB/S")
    parser.add_argument("--loader", type=float, default=1327.0, metavar="FACES/S")
    parser.add_argument("--system", nargs="+", metavar="NAME", help="presets (all of them)")
    options = parser.parse_args(args)

    def work() -> None:
        if not all(0 < rate < math.inf for rate in (options.tflops, options.link, options.loader)) or options.gpus < 1:
            raise BadValue("--tflops, --link and --loader are above 0, --gpus 1 or more; correct them")
        table(options.system or list(presets()), options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
