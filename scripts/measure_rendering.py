"""How well stage 2 of a style model renders: real lip motion in, what comes out against the real faces.

    python scripts/measure_rendering.py --data PREPARED --model_path FOLDER [--frames 3] [--clips 60]

For each held-out clip, `frames` frames spread over it are generated with the lip motion that is read from the real
faces, and with that of another clip of the split.  Figures: PSNR and SSIM of the mouth half, as scripts/measure.py; how
far the motion that is read from the result is from the one that was put in, the mean over landmarks in per cent of the
distance between the eyes; the correlation of the openings over all frames of a split.  For comparison: the real face
(in latents, through the autoencoder alone), which no rendering can beat, and a reference frame pasted.
The reader that reads here is the one that training listened to; with --landmarker and --mediapipe_python (as for
scripts/fit_motion.py) MediaPipe, which it did not, reads the results too.
Then what a frame costs, both stages and Diff2Lip's small network, medians of interleaved runs.
Intervals: 95 % bootstrap over speakers, means per speaker first.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio import SAMPLE_RATE, Sound, Waveform, log_mel
from core.errors import BadInput
from core.flags import Parser
from core.guard import reads
from core.program import exit_code
from dataset import Clip, ClipBatch, Needs, entries, load_clip, stack, to_pictures, window
from evaluation.mediapipe_client import MediaPipe
from guided_diffusion.engine.device import autocast, resolve_device, resolve_precision, store_weights
from scripts.benchmark import medians
from scripts.measure import Row, compare, interval
from systems import registry
from systems.stage1 import Stage1
from systems.style.frontal import WANTED, frontal
from systems.system import FaceSampler

WAYS = ("own motion", "another's motion", "real face", "reference pasted")
BATCH = 8     # frames at a time where cost is measured
SECONDS = 10  # of sound and of style reference there
FPS = 25
MARGIN = 64   # pixels of their own edge around faces that MediaPipe is shown
Reads = Callable[[Tensor], Tensor]


def frames_of(clip: Clip, count: int, needs: Needs, motion: Stage1, device: torch.device) -> ClipBatch:
    """`count` frames spread over the clip, each a sequence of its own, told what their own lips do."""
    n = len(clip)
    spread = np.linspace(0, n - 1, min(count, n) + 2).astype(int)[1:-1]
    halves = [range(n // 2, n) if k < n // 2 else range(n // 2) for k in spread]
    shown = [np.linspace(half.start, half.stop - 1, needs.references + 2)[1:-1].astype(int) for half in halves]
    batch = stack([window(clip, int(k), 1, seen.tolist(), needs) for k, seen in zip(spread, shown, strict=True)])
    batch = batch.to(device)
    return replace(batch, motion=motion.read(batch.faces[:, 0])[:, None])


class Rendering:
    """Measures one model; `openings` gathers what was told and what was read, per reader and way."""

    def __init__(self, speaker: FaceSampler[Any], motion: Stage1, finder: MediaPipe | None) -> None:
        self.speaker, self.system, self.motion = speaker, speaker.system, motion
        self.readers: dict[str, Reads] = {"the reader": motion.read}
        if finder is not None:
            self.readers["MediaPipe"] = lambda faces: motion.space.motion(landmarks(finder, faces))
        self.openings: dict[tuple[str, str], list[tuple[Tensor, Tensor]]] = defaultdict(list)

    def row(self, split: str, clip: Clip, other: ClipBatch, batch: ClipBatch) -> Row:
        told = batch.motion[:, 0]
        foreign = other.motion[torch.arange(len(told)) % len(other.motion)]
        truth = batch.faces[:, 0]
        with autocast(truth.device, self.speaker.precision):
            restored = self.system.space.decode(self.system.space.encode(truth)).clamp(-1, 1)
        ways = {
            WAYS[0]: (self.speaker(batch)[:, 0], told),
            WAYS[1]: (self.speaker(replace(batch, motion=foreign))[:, 0], foreign[:, 0]),
            WAYS[2]: (restored, told),
            WAYS[3]: (batch.reference[:, 0], told),
        }
        figures = {}
        for way, (faces, meant) in ways.items():
            compared = compare(to_pictures(faces), to_pictures(truth))
            figures |= {f"{way}/{name}": value for name, value in compared.items()}
            for name, reader in self.readers.items():
                read = reader(faces)
                found = read.isfinite().all(dim=1)
                figures[f"{way}/{name}"] = 100 * float(self.motion.space.distance(read, meant)[found].mean())
                opening = self.motion.space.opening
                self.openings[name, way].append((opening(meant[found]), opening(read[found])))
        return Row(split, clip.speaker, clip.name, figures)

    def correlation(self, reader: str, way: str) -> float:
        told, read = (torch.cat(values).cpu().numpy() for values in zip(*self.openings[reader, way], strict=True))
        return float(np.corrcoef(told, read)[0, 1])


def table(split: str, rows: list[Row], rendering: Rendering) -> str:
    def cell(name: str, digits: int) -> str:
        mean, low, high, _ = interval([row for row in rows if np.isfinite(row.figures[name])], name)
        return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"

    lines = [
        f"\n{split}: {len({row.speaker for row in rows})} speakers, {len(rows)} clips\n",
        "| | PSNR of the mouth half, dB | SSIM |"
        + "".join(f" motion, read by {name}, minus put in, % | its opening, r |" for name in rendering.readers),
        "|---" * (3 + 2 * len(rendering.readers)) + "|",
    ]
    for way in WAYS:
        cells = [cell(f"{way}/psnr", 2), cell(f"{way}/ssim", 3)]
        for name in rendering.readers:
            cells += [cell(f"{way}/{name}", 2), f"{rendering.correlation(name, way):.3f}"]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def landmarks(finder: MediaPipe, faces: Tensor) -> Tensor:
    """What MediaPipe sees, as a space of motion takes it: [n, p, 2], NaN where it sees no face."""
    wide = np.pad(to_pictures(faces), ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")
    return torch.from_numpy(frontal(finder.find_in_space(wide))).to(faces.device)


def cost(speaker: FaceSampler[Any], motion: Stage1, device: torch.device) -> str:
    """Milliseconds a frame of each stage, and of Diff2Lip's small network, in one run."""
    diff2lip = store_weights(registry.load_system(registry.SMALL_DIFF2LIP).to(device), speaker.precision)
    plain = FaceSampler(diff2lip, precision=speaker.precision)
    frames = SECONDS * FPS
    silence = np.zeros(SAMPLE_RATE * SECONDS, np.float32)
    sound = Sound(log_mel(Waveform(silence, SAMPLE_RATE)), lambda: [silence])
    heard = motion.hear(sound, [range(frames)])(0, frames)
    faces = torch.rand(frames, 3, motion.size, motion.size, device=device) * 2 - 1
    reference = motion.reference(faces, heard)
    told, untold = (any_batch(each.system).to(device) for each in (speaker, plain))
    ways = {
        "stage 1: the style video read": (lambda: motion.reference(faces, heard), frames),
        "stage 1: sound heard": (lambda: motion.hear(sound, [range(frames)])(0, frames), frames),
        "stage 1: lip motion predicted": (lambda: motion.predictor.predict(heard, reference), frames),
        "stage 2: rendered": (lambda: speaker(told), BATCH),
        "diff2lip-small": (lambda: plain(untold), BATCH),
    }
    spent = medians({name: way for name, (way, _) in ways.items()}, 5, device)
    each = {name: 1000 * spent[name] / count for name, (_, count) in ways.items()}
    lines = [
        f"\n{device}, {speaker.precision}, {torch.get_num_threads()} threads; {SECONDS} s of sound and of style\n",
        "| | ms a frame | of diff2lip-small |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {name} | {value:.1f} | {value / each['diff2lip-small']:.2f} |" for name, value in each.items()]
    known = {"stage 1": motion, "stage 2": speaker.system, "diff2lip-small": plain.system}
    counts = (f"{name} {sum(p.numel() for p in part.parameters()) / 1e6:.1f} M" for name, part in known.items())
    return "\n".join([*lines, f"\nparameters: {', '.join(counts)}"])


def any_batch(system: Any) -> ClipBatch:
    """A batch of a kind that the system takes; what it shows does not matter to its speed."""
    needs, size = system.needs, system.size
    faces = torch.rand(1, BATCH, 3, size, size) * 2 - 1
    several = faces[:, :1, None].expand(-1, BATCH, needs.references, -1, -1, -1) if needs.references > 1 else None
    motion = torch.zeros(1, BATCH, needs.motion) if needs.motion else None
    mel = torch.zeros(1, BATCH, 80, 16)
    return ClipBatch(faces, faces[:, :1].expand_as(faces), mel, mel[:, 0], motion=motion, references=several)


def run(options: argparse.Namespace) -> None:
    device = resolve_device(options.device)
    system: Any = registry.load_system(options.model_path)
    if not system.needs.motion:
        raise BadInput(f"{options.model_path}: is told no lip motion; measure it with scripts/measure.py")
    motion = registry.load_motion(options.model_path).to(device)
    precision = resolve_precision(options.precision, device)
    speaker = FaceSampler(store_weights(system.to(device), precision), precision=precision)
    with ExitStack() as stack:
        finder = None
        if options.landmarker is not None:
            finder = stack.enter_context(MediaPipe(options.mediapipe_python, options.landmarker, WANTED))
        quality(options, speaker, motion, finder, device)
    print(cost(speaker, motion, device))


def quality(
    options: argparse.Namespace,
    speaker: FaceSampler[Any],
    motion: Stage1,
    finder: MediaPipe | None,
    device: torch.device,
) -> None:
    """Prints the table of each split."""
    for split in ("seen", "test"):
        found = entries(options.data, split)
        spread = np.linspace(0, len(found) - 1, min(options.clips, len(found))).astype(int)
        clips = [load_clip(found[i]) for i in spread]
        rendering, rows = Rendering(speaker, motion, finder), []
        batches = [frames_of(clip, options.frames, speaker.system.needs, motion, device) for clip in clips]
        with torch.inference_mode():
            for i, clip in enumerate(tqdm(clips, desc=split, unit="clip", disable=None)):
                rows.append(rendering.row(split, clip, batches[(i + len(clips) // 2) % len(clips)], batches[i]))
        print(table(split, rows, rendering), flush=True)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, help="prepared folder with the splits seen and test")
    parser.add_argument("--model_path", type=reads, required=True, help="folder of a style model")
    parser.add_argument("--frames", type=int, default=3, help="frames of each clip")
    parser.add_argument("--clips", type=int, default=60, help="clips of each split, spread over all")
    parser.add_argument("--landmarker", type=reads, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--mediapipe_python", type=reads, default=Path(sys.executable))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(exit_code(main))
