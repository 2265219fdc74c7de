"""Training a preset in several ways: faces a second, waiting for data and peak memory, measured in one run.

    python scripts/benchmark_training.py [--system style-medium] [--data DATA] [--batch N] [--steps 20] [--compile]
                                         [--features VGG] [--device auto]

Each way is `train.py` itself in a process of its own, from the data to the update, begun anew and thrown away; what it
says is its own log of the last half of the steps.  Without --data a pack of noise is made.  Terms that need weights
which are not here are left out: sync, and LPIPS unless --features says by what else to judge.  --compile adds
train.compile, which takes minutes before the first step on a CPU.
"""

import json
import logging
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np
import torch

from core.flags import Parser
from core.guard import guard, reads
from core.paths import CHECKPOINTS
from core.program import exit_code
from dataset.pack import Labels
from face_detection import Box
from face_detection.alignment import TALL, TEMPLATE
from guided_diffusion.engine.device import resolve_device
from systems.registry import find_preset, presets
from systems.training import train
from video import write_video

STAGE1 = CHECKPOINTS / "style-medium" / "motion.safetensors"
SYNC = CHECKPOINTS / "sync.safetensors"
SYSTEMS = [name for name, found in presets().items() if found.kind in ("diff2lip", "syncdiff", "style")]
NUMBERS = 16  # of a lip motion


@dataclass(frozen=True)
class Way:
    precision: str = "fp32"
    checkpointing: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        extras = [" + gradient checkpointing"] * self.checkpointing + [" + compile"] * self.compiled
        return self.precision + "".join(extras)

    @property
    def settings(self) -> list[str]:
        return [
            f"train.precision={self.precision}",
            f"train.gradient_checkpointing={str(self.checkpointing).lower()}",
            f"train.compile={str(self.compiled).lower()}",
        ]


def noise_pack(folder: Path, clips: int = 8, frames: int = 40) -> Path:
    """Clips of 224 x 224 in which nothing is to be seen, with a face where published crops have it."""
    rng = np.random.default_rng(0)
    box = Box.centred(112, 112, 150, 150 * TALL)
    points = (np.array(list(TEMPLATE.values())) * 150 + [box.x0, box.y0]).astype(np.float32)
    labels = Labels(
        np.tile(points, (frames, 1, 1)), np.zeros((frames, NUMBERS), np.float32), rng.random(frames).astype(np.float32)
    )
    for number in range(clips):
        clip = folder / "piece-000" / "train" / f"speaker{number % 4}" / f"clip{number}.mp4"
        clip.parent.mkdir(parents=True, exist_ok=True)
        pictures = (rng.integers(0, 256, (28, 28, 3), np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(frames))
        write_video(clip, pictures, Fraction(25), sound=ROOT / "scripts" / "demo" / "speech.flac")
        labels.save(clip.with_suffix(".npz"))
    return folder


def measure(
    way: Way, system: str, data: Path, batch: int, steps: int, features: Path | None, device: str
) -> tuple[float, float, float, float]:
    """Faces a second, the share of the time that data took, the peak memory in GB, and seconds of the first step."""
    logging.disable(logging.WARNING)  # that a pack of noise has no held-out clips
    preset = find_preset(system)
    hears = preset.kind != "style" and not getattr(preset.loss, "train_audio_encoder", True)
    settings = [
        *way.settings, f"train.batch={batch}", f"train.steps={2 * steps}", "train.log_every=1", "train.keep=0",
        "train.evaluate_every=1000000", "train.warmup=0", "train.cooldown=0", f"train.save_every={2 * steps}",
    ]  # fmt: skip
    settings += ["loss.sync=0", "loss.reconstruction=0"] if preset.kind != "style" else []
    settings += [] if features is not None else ["loss.perceptual=0"]
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "parts").mkdir()
        (here / "parts" / "motion.safetensors").symlink_to(STAGE1)
        train(
            system, data, here / "run", audio_encoder=SYNC if hears else None, features=features, device=device,
            components=here / "parts" if preset.kind == "style" else None, settings=settings,
        )  # fmt: skip
        log = [json.loads(line) for line in (here / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    seconds = [1 / line["steps_per_second"] for line in log]
    waited = sum(spent * line["data_wait"] for spent, line in zip(seconds[steps:], log[steps:], strict=True))
    total = sum(seconds[steps:])
    return batch * steps / total * preset.window_config.frames, waited / total, log[-1]["memory_gb"], seconds[0]


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--system", default="style-medium", choices=SYSTEMS)
    parser.add_argument("--data", type=reads)
    parser.add_argument("--batch", type=int, default=0, help="the preset's unless given")
    parser.add_argument("--steps", type=int, default=20, help="to be timed of each way, after as many to warm up")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--features", type=reads, metavar="FILE")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    guard(parser, options)
    device = resolve_device(options.device)
    preset = find_preset(options.system)
    batch = options.batch or preset.train.batch
    ways = [Way(), Way(checkpointing=True), Way("bf16"), Way("bf16", checkpointing=True)]
    ways += [Way("bf16", compiled=True)] * options.compile
    print(f"{options.system}, {batch} x {preset.window_config.frames} frames, {device}, torch {torch.__version__}\n")
    print("| a training step | faces/s | times as fast | waiting for data, % | peak memory, GB | first step, s |")
    print("|---|---|---|---|---|---|")
    plain = None
    fresh = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or noise_pack(Path(folder))
        for way in ways:
            work = way, options.system, data, batch, options.steps, options.features, options.device
            with ProcessPoolExecutor(1, fresh) as pool:
                speed, wait, memory, first = pool.submit(measure, *work).result()
            plain = plain or speed
            figures = f"{speed:.1f} | {speed / plain:.2f} | {100 * wait:.1f} | {memory:.2f} | {first:.1f}"
            print(f"| {way} | {figures} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
