"""The goals of speed and what this machine reaches, against another revision in the same run if one is named.

    python scripts/benchmark_goals.py [--against REVISION] [--video V --audio A] [--rounds 3] [--compile]
                                      [--device auto]

Each figure is that of whole processes, from the command to the file, the revisions in turn; seconds are medians, ratios
medians of those within a round, and core seconds say what was computed, whatever else ran on the machine.

    first frame   generate.py for one batch, 8 frames, of the portrait of the demo: loading, hearing, finding, one batch
    imports       what generate.py imports until it has loaded a model, none loaded
    end to end    generate.py on a video, frames a second, and the most memory that it held

On a GPU also the released network alone, warm, 25 steps of DDIM, called and replayed as a CUDA graph, with --compile
also compiled: frames a second, memory, and the share of what a matrix product of that precision reaches.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np
import torch

from core.errors import BadInput, BadValue
from core.flags import Parser
from core.guard import guard, reads
from core.program import exit_code
from guided_diffusion.engine.compiling import Record
from scripts.benchmark_processes import waited
from video import probe, read_frames

DEMO = ROOT / "scripts" / "demo"
IMPORTS = (
    "import sys; sys.path.insert(0, '.'); import lipsync.jobs.filelist_runner, lipsync.pipeline, systems.registry as r;"
    "r.specifications()"
)
FLOP, STEPS, BATCH = 157e9, 25, 32  # FLOP: of the released network, one frame and step


@dataclass(frozen=True)
class Run:
    """seconds of the clock; work: of a core; memory: the most that it held, bytes."""

    seconds: float
    work: float
    memory: int


def run(tree: Path, command: Sequence[str]) -> Run:
    """A program of one revision.  BadInput with what it says if it fails."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([sys.executable, *command], cwd=tree, stdout=errors, stderr=errors)
        try:
            work, memory = waited(process)
        finally:
            process.kill()  # does nothing to one that has ended
        seconds = time.perf_counter() - begin
        errors.seek(0)
        if process.returncode:
            raise BadInput(f"{tree}: {' '.join(command)[:80]} failed: {errors.read().strip().splitlines()[-1]}")
    return Run(seconds, work, memory)


def commands(options: argparse.Namespace, folder: Path, name: str) -> dict[str, list[str]]:
    """What is timed of the revision of this name, by the figure."""
    common = ["--device", options.device, "--no_cache"]
    own = [*common, "--length", "shortest", "--video", str(options.video), "--audio", str(options.audio)]
    still = [*common, "--video", str(DEMO / "portrait.jpg"), "--audio", str(folder / "words.wav")]
    return {
        "imports": ["-c", IMPORTS],
        "first frame": ["generate.py", *still, "--output", str(folder / f"{name}-first.mp4")],
        "end to end": ["generate.py", *own, "--output", str(folder / f"{name}.mp4")],
    }


def words(path: Path, seconds: float) -> None:
    """The beginning of the demo's words."""
    import wave

    from audio import read_sound

    samples = read_sound(DEMO / "speech.flac").samples[: int(16000 * seconds)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def checked_out(revision: str, folder: Path, stack: ExitStack) -> Path:
    """That revision's files, while the stack is open.  BadInput if there is none."""
    tree = folder / "before"
    add = ["git", "worktree", "add", "--detach", str(tree), revision]
    done = subprocess.run(add, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadValue(f"--against {revision}: {done.stderr.strip().splitlines()[-1]}; name a commit that is here")
    stack.callback(
        subprocess.run, ["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, capture_output=True, check=False
    )
    return tree


def apart(one: Path, other: Path) -> float:
    """The mean absolute difference of two videos, levels."""
    pairs = zip(read_frames(one), read_frames(other), strict=True)
    return float(np.mean([np.abs(a.astype(np.int16) - b).mean() for a, b in pairs]))


GOALS = {"imports": "under 3 s", "first frame": "under 8 s", "end to end": "2x; under 3 GB"}


def table(runs: dict[str, dict[str, list[Run]]], frames: int) -> str:
    """Markdown: figure, goal, now, before, ratio, core seconds, memory."""
    names = list(next(iter(runs.values())))
    lines = [
        "| figure | goal | " + " | ".join(f"{name}, s" for name in names) + " | times as fast | core s | peak MiB |",
        "|---" * (5 + len(names)) + "|",
    ]
    for figure, by_name in runs.items():
        clock = [statistics.median(r.seconds for r in by_name[name]) for name in names]
        work = [statistics.median(r.work for r in by_name[name]) for name in names]
        memory = [max(r.memory for r in by_name[name]) / 2**20 for name in names]
        ratio = "-"
        if len(names) > 1:
            rounds = zip(by_name[names[1]], by_name[names[0]], strict=True)
            ratio = f"{statistics.median(before.seconds / now.seconds for before, now in rounds):.2f}"
        shown = [f"{value:.1f}" + (f" ({frames / value:.2f} frames/s)" if figure == "end to end" else "")
                 for value in clock]  # fmt: skip
        lines.append(
            f"| {figure} | {GOALS[figure]} | " + " | ".join(shown) + f" | {ratio} | "
            + ", ".join(f"{value:.1f}" for value in work) + " | " + ", ".join(f"{value:.0f}" for value in memory) + " |"
        )  # fmt: skip
    return "\n".join(lines)


@dataclass(frozen=True)
class Alone:
    """A network alone, warm: frames a second, GB at most, seconds of its first batch, how far from what it was called.
    """

    frames: float
    memory: float
    first: float
    apart: float


def alone(
    system: Any, where: torch.device, precision: torch.dtype, ways: Sequence[str], record: Record,
    *, batch: int = BATCH, steps: int = STEPS,
) -> dict[str, Alone]:  # fmt: skip
    """Steps of DDIM by a system that hears a mel, called, replayed or with its blocks compiled as well (`ways`)."""
    from dataset import ClipBatch
    from guided_diffusion.engine.compiling import Recorded
    from guided_diffusion.samplers import SampleConfig
    from systems.system import FaceSampler

    sampler = FaceSampler(system, SampleConfig("ddim", f"ddim{steps}"), precision=precision)
    generator = torch.Generator().manual_seed(0)
    faces = (torch.rand(batch, 1, 3, system.size, system.size, generator=generator) * 2 - 1).to(where)
    mel = torch.randn(batch, 1, 80, 16, generator=generator).to(where)
    clips, timings, plain = ClipBatch(faces, faces, {"mel": mel}, mel[:, 0]), {}, None
    for way in ways:
        if way == "compiled":
            system.network.compile()
        if way != "called":
            system.network.forward = Recorded(partial(type(system.network).forward, system.network), print, record)
        if where.type == "cuda":
            torch.cuda.reset_peak_memory_stats(where)
        begin = time.perf_counter()
        frames = sampler(clips).cpu()
        first = time.perf_counter() - begin
        plain = frames if plain is None else plain
        spent = seconds(lambda: sampler(clips), 3, where)
        memory = torch.cuda.max_memory_allocated(where) / 1e9 if where.type == "cuda" else 0.0
        timings[way] = Alone(batch / spent, memory, first, float((frames - plain).abs().max()))
    return timings


def seconds(work: Callable[[], object], count: int, where: torch.device) -> float:
    """Of a piece of work, the mean of so many after one to warm up."""

    def wait() -> None:
        if where.type == "cuda":
            torch.cuda.synchronize(where)

    work()
    wait()
    begin = time.perf_counter()
    for _ in range(count):
        work()
    wait()
    return (time.perf_counter() - begin) / count


def released(device: str, *, compiled: bool) -> None:
    """The released network alone on a GPU: goal 60 frames/s and 8 GB at 25 steps."""
    from guided_diffusion.engine.compiling import cuda_graph
    from guided_diffusion.engine.device import resolve_precision, store_weights
    from scripts.formula import fill
    from systems.diff2lip import Diff2Lip, Diff2LipConfig

    target = torch.device(device)
    precision = resolve_precision("auto", target)
    system = Diff2Lip(Diff2LipConfig())
    fill(system.network)
    system = store_weights(system.to(target).to(memory_format=torch.channels_last).eval(), precision)
    timings = alone(system, target, precision, ["called", "replayed", *["compiled"] * compiled], cuda_graph)
    side = torch.randn(8192, 8192, device=target, dtype=precision)
    peak = 2 * 8192**3 / seconds(lambda: side @ side, 20, target)
    card = torch.cuda.get_device_name(target)
    print(f"\nreleased size, {STEPS} steps of DDIM, {BATCH} at a time, {card}, {precision};")
    print(f"a matrix product reaches {peak / 1e12:.0f} TFLOPS; goals 60 frames/s (100 wanted), under 8 GB\n")
    print("| network | frames/s | share of a matrix product, % | GB | first batch, s | from called, of 2 |")
    print("|---" * 6 + "|")
    for way, one in timings.items():
        share = 100 * one.frames * STEPS * FLOP / peak
        print(f"| {way} | {one.frames:.1f} | {share:.0f} | {one.memory:.1f} | {one.first:.1f} | {one.apart:.4f} |")


def measure(options: argparse.Namespace) -> None:
    """Prints the table."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds\n")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        trees = {"now": ROOT}
        if options.against is not None:
            trees[options.against] = checked_out(options.against, folder, stack)
        words(folder / "words.wav", 0.32)
        runs: dict[str, dict[str, list[Run]]] = {}
        for _ in range(options.rounds):
            for place, (revision, tree) in enumerate(trees.items()):
                for figure, command in commands(options, folder, str(place)).items():
                    one = run(tree, command)
                    runs.setdefault(figure, {}).setdefault(revision, []).append(one)
                    print(f"{figure}, {revision}: {one.seconds:.1f} s", file=sys.stderr, flush=True)
        print(table(runs, probe(folder / "0.mp4").frames))
        if options.against is not None:
            print(f"\nframes of the two differ by {apart(folder / '0.mp4', folder / '1.mp4'):.3f} levels on average"
                  " (goal: within 1)")  # fmt: skip
    if options.device != "cpu" and torch.cuda.is_available():
        released("cuda" if options.device == "auto" else options.device, compiled=options.compile)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--against", metavar="REVISION", help="a commit of this repository to compare with")
    parser.add_argument("--video", type=reads, default=DEMO / "portrait.jpg", help="for end to end")
    parser.add_argument("--audio", type=reads, default=DEMO / "speech.flac")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="the released network with its blocks compiled, too")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    guard(parser, options)
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    options.video, options.audio = options.video.absolute(), options.audio.absolute()
    measure(options)


if __name__ == "__main__":
    sys.exit(exit_code(main))
