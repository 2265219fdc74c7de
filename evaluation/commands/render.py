"""How well stage 2 of a style model renders: real lip motion in, what comes out against the real faces; its cost."""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from audio import SAMPLE_RATE, Sound, Waveform, log_mel
from core.errors import Mismatch
from dataset import ClipBatch, Footage, to_pictures
from face_detection.mediapipe_client import MediaPipe, in_margin
from guided_diffusion.engine.device import autocast, resolve_device
from guided_diffusion.engine.throughput import medians
from systems import metrics, registry
from systems.stage1 import Stage1
from systems.style import StyleSystem
from systems.style.frontal import WANTED, frontal
from systems.system import FaceSampler, System

from ..report.results import over_speakers
from ..report.tables import markdown, shown
from ..windows import face_sampler, held_out, single_frames, spread
from .reconstruct import Row, compare

K = TypeVar("K")  # the conditions of a system

WAYS = ("own motion", "another's motion", "real face", "reference pasted")
BATCH = 8     # frames at a time where cost is measured
SECONDS = 10  # of sound and of style reference there
FPS = 25
Reads = Callable[[Tensor], Tensor]


def run(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Prints a table a split, and one of costs.  Raises BadInput for a model that is told no lip motion."""
    device = resolve_device(options.device)
    system = registry.load_system(options.model_path)
    if not system.needs.motion:
        raise Mismatch(f"{options.model_path}: is told no lip motion; measure it with python -m evaluation reconstruct")
    motion = registry.load_motion(options.model_path).to(device)
    speaker = face_sampler(system, device, options.precision)
    with ExitStack() as stack:
        finder = None
        if options.landmarker is not None:
            finder = stack.enter_context(MediaPipe(options.mediapipe_python, options.landmarker, WANTED))
        for split, clips in held_out(options.data, system).items():
            rendering = Rendering(speaker, motion, finder, device)
            rows = rendering.rows(split, spread(clips, options.clips), options.frames)
            print(table(split, rows, rendering), flush=True)
    print(cost(speaker, motion, options.precision, device))


class Rendering:
    """Measures one model; `openings` gathers what was told and what was read, per reader and way."""

    def __init__(
        self, speaker: FaceSampler[object], motion: Stage1, finder: MediaPipe | None, device: torch.device
    ) -> None:
        self.device = device
        self.speaker, self.motion = speaker, motion
        assert isinstance(speaker.system, StyleSystem)
        self.system = speaker.system
        self.readers: dict[str, Reads] = {"the reader": motion.read}
        if finder is not None:
            self.readers["MediaPipe"] = lambda faces: motion.space.motion(landmarks(finder, faces))
        self.openings: dict[tuple[str, str], list[tuple[Tensor, Tensor]]] = defaultdict(list)

    @torch.inference_mode()
    def rows(self, split: str, clips: Sequence[Footage], frames: int) -> list[Row]:
        """A row a clip, of so many of its frames."""
        batches = [self._told(single_frames(clip, frames, self.system.needs)) for clip in clips]
        return [
            self.row(split, clip, batches[(i + len(clips) // 2) % len(clips)], batches[i])
            for i, clip in enumerate(tqdm(clips, desc=split, unit="clip", disable=None))
        ]

    def _told(self, batch: ClipBatch) -> ClipBatch:
        """The same on the device, told what their own lips do."""
        batch = batch.to(self.device)
        return replace(batch, motion=self.motion.read(batch.faces[:, 0])[:, None])

    def row(self, split: str, clip: Footage, other: ClipBatch, batch: ClipBatch) -> Row:
        """Of a clip: told its own lip motion, and that of `other`, each a sequence of one frame."""
        assert batch.motion is not None and other.motion is not None
        target = batch.motion[:, 0]
        foreign = other.motion[torch.arange(len(target)) % len(other.motion)]
        truth = batch.faces[:, 0]
        with autocast(truth.device, self.speaker.precision):
            restored = self.system.space.decode(self.system.space.encode(truth)).clamp(-1, 1)
        ways = {
            WAYS[0]: (self.speaker(batch)[:, 0], target),
            WAYS[1]: (self.speaker(replace(batch, motion=foreign))[:, 0], foreign[:, 0]),
            WAYS[2]: (restored, target),
            WAYS[3]: (batch.reference[:, 0], target),
        }
        figures: dict[str, float] = {}
        for way, (faces, meant) in ways.items():
            compared = compare(to_pictures(faces), to_pictures(truth))
            figures |= {f"{way}/{name}": value for name, value in compared.items()}
            for name, reader in self.readers.items():
                read = reader(faces)
                finite = read.isfinite().all(dim=1)
                figures[f"{way}/{name}"] = 100 * float(self.motion.space.distance(read, meant)[finite].mean())
                opening = self.motion.space.opening
                self.openings[name, way].append((opening(meant[finite]), opening(read[finite])))
        return Row(split, clip.speaker, clip.name, figures)

    def correlation(self, reader: str, way: str) -> float:
        target, read = (torch.cat(values).cpu() for values in zip(*self.openings[reader, way], strict=True))
        return metrics.correlation(target, read) or 0.0


def table(split: str, rows: Sequence[Row], rendering: Rendering) -> str:
    """Markdown."""

    def cell(name: str, digits: int) -> str:
        known = ((row.speaker, row.figures[name]) for row in rows if np.isfinite(row.figures[name]))
        return shown(over_speakers(known), digits)

    header = ["", "PSNR of the mouth half, dB", "SSIM"]
    for name in rendering.readers:
        header += [f"motion, read by {name}, minus put in, %", "its opening, r"]
    lines = []
    for way in WAYS:
        cells = [way, cell(f"{way}/psnr", 2), cell(f"{way}/ssim", 3)]
        for name in rendering.readers:
            cells += [cell(f"{way}/{name}", 2), f"{rendering.correlation(name, way):.3f}"]
        lines.append(cells)
    counts = f"{split}: {len({row.speaker for row in rows})} speakers, {len(rows)} clips"
    return f"\n{counts}\n\n{markdown(header, lines)}"


def landmarks(finder: MediaPipe, faces: Tensor) -> Tensor:
    """What MediaPipe sees, as a space of motion takes it: [n, p, 2], NaN where it sees no face."""
    return torch.from_numpy(frontal(finder.find_in_space(in_margin(to_pictures(faces))))).to(faces.device)


def cost(speaker: FaceSampler[K], motion: Stage1, precision: str, device: torch.device) -> str:
    """Milliseconds a frame of each stage, and of Diff2Lip's small network, in one run."""
    plain = face_sampler(registry.load_system(registry.SMALL_DIFF2LIP), device, precision)
    frames = SECONDS * FPS
    silence = np.zeros(SAMPLE_RATE * SECONDS, np.float32)
    sound = Sound(log_mel(Waveform(silence, SAMPLE_RATE)), lambda: [silence])
    features = motion.hear(sound, [range(frames)])(0, frames)
    faces = torch.rand(frames, 3, motion.size, motion.size, device=device) * 2 - 1
    reference = motion.reference(faces, features)
    conditioned, untold = any_batch(speaker.system).to(device), any_batch(plain.system).to(device)
    ways = {
        "stage 1: the style video read": (lambda: motion.reference(faces, features), frames),
        "stage 1: sound heard": (lambda: motion.hear(sound, [range(frames)])(0, frames), frames),
        "stage 1: lip motion predicted": (lambda: motion.predictor.predict(features, reference), frames),
        "stage 2: rendered": (lambda: speaker(conditioned), BATCH),
        "diff2lip-small": (lambda: plain(untold), BATCH),
    }
    spent = medians({name: way for name, (way, _) in ways.items()}, 5, device)
    each = {name: 1000 * spent[name] / count for name, (_, count) in ways.items()}
    ran = f"{device}, {speaker.precision}, {torch.get_num_threads()} threads; {SECONDS} s of sound and of style"
    rows = [[name, f"{value:.1f}", f"{value / each['diff2lip-small']:.2f}"] for name, value in each.items()]
    lines = markdown(["", "ms a frame", "of diff2lip-small"], rows)
    known: dict[str, Stage1 | nn.Module] = {
        "stage 1": motion, "stage 2": speaker.system, "diff2lip-small": plain.system,
    }  # fmt: skip
    counts = (f"{name} {sum(p.numel() for p in part.parameters()) / 1e6:.1f} M" for name, part in known.items())
    return f"\n{ran}\n\n{lines}\n\nparameters: {', '.join(counts)}"


def any_batch(system: System[K]) -> ClipBatch:
    """A batch of a kind that the system takes; what it shows does not matter to its speed."""
    needs, size = system.needs, system.size
    faces = torch.rand(1, BATCH, 3, size, size) * 2 - 1
    several = faces[:, :1, None].expand(-1, BATCH, needs.references, -1, -1, -1) if needs.references > 1 else None
    motion = torch.zeros(1, BATCH, needs.motion) if needs.motion else None
    mel = torch.zeros(1, BATCH, 80, 16)
    return ClipBatch(faces, faces[:, :1].expand_as(faces), {"mel": mel}, mel[:, 0], motion=motion, references=several)
