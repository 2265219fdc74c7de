"""What few steps cost: faces of held-out clips made in so many, against the real ones.

    python scripts/few_steps.py --data PACK --model_path CHECKPOINT [CHECKPOINT ...] [--steps 1 2 3 dpm++:4 ...]

Every checkpoint makes the same frames of both held-out splits from one noise, told the clip's own sound, or, if it is a
style model, what the lips of the real face do.  A row for each checkpoint and --steps (SPACING or SAMPLER:SPACING;
without a sampler the checkpoint's own):

    PSNR       of the mouth half, dB; the mean picture that one step gives has a high one
    sharpness  of the mouth half: the mean size of its gradients over that of the real one's
    r, range   of the opening of the mouth that stage 1 of --reader reads from the faces: its correlation with the real
               one over the frames of a clip, the mean over clips, and its deviation over the real one's
    ms         a frame, the network alone, medians of interleaved runs
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import torch
from torch import Tensor

from core.errors import BadValue, NoData
from core.flags import Parser
from core.guard import guard, reads
from core.paths import CHECKPOINTS
from core.program import exit_code
from dataset import ClipBatch, corpus
from guided_diffusion.engine.device import resolve_device, resolve_precision, store_weights
from guided_diffusion.engine.throughput import medians
from guided_diffusion.samplers import SAMPLERS, SampleConfig
from systems import registry
from systems.metrics import correlation
from systems.stage1 import Stage1
from systems.style import StyleSystem
from systems.system import FaceSampler, System
from systems.validation import HELD_OUT, held_out_windows, psnr_of_mouth_half

K = TypeVar("K")  # the conditions of a system

BATCH = 8


def sampling(system: System[K], text: str) -> SampleConfig:
    """What --steps says.  BadInput if that cannot be."""
    sampler, _, spacing = text.rpartition(":")
    if sampler and sampler not in SAMPLERS:
        raise BadValue(f"--steps {text}: no sampler {sampler}; choose from {', '.join(SAMPLERS)}")
    config: SampleConfig = replace(system.sampling, spacing=spacing)
    return replace(config, sampler=sampler) if sampler else config  # type: ignore[arg-type]


def held_out(system: System[K], data: Path, clips: int, frames: int) -> dict[str, ClipBatch]:
    """By split, frames spread over clips, those of one clip together: sequences of one frame."""
    splits = corpus(data, system.size, getattr(system.config, "framing", "box"))
    batches = {}
    for split in HELD_OUT:
        if split in splits:
            batch = held_out_windows(splits[split], frames=1, count=clips, per_clip=frames, needs=system.needs)
            batches[split] = system.with_motion(batch) if isinstance(system, StyleSystem) else batch
    if not batches:
        raise NoData(f"{data}: has no held-out clips ({', '.join(HELD_OUT)}); pass data that has")
    return batches


@torch.inference_mode()
def made(speaker: FaceSampler[K], clips: ClipBatch, device: torch.device) -> Tensor:
    """[n, 3, s, s]; clips in batches."""
    parts = [clips.rows(slice(k, k + BATCH)) for k in range(0, len(clips.faces), BATCH)]
    return torch.cat([speaker(part.to(device))[:, 0].cpu() for part in parts])


def sharpness(faces: Tensor) -> float:
    """Mean absolute difference of neighbours in the lower half."""
    half = faces[..., faces.shape[-2] // 2 :, :]
    return float(half.diff(dim=-1).abs().mean() + half.diff(dim=-2).abs().mean())


def figures(faces: Tensor, clips: ClipBatch, reader: Stage1) -> Mapping[str, float]:
    """Of faces [n, 3, s, s] against the real ones; reader: stage 1."""
    truth = clips.faces[:, 0]
    opened, real = (reader.space.opening(reader.read(pictures)) for pictures in (faces, truth))
    assert clips.clip is not None
    of_clip = [clips.clip == number for number in sorted(set(clips.clip.tolist()))]
    rs = [r for rows in of_clip if (r := correlation(opened[rows], real[rows])) is not None]

    def within(values: Tensor) -> float:
        return float(torch.cat([values[rows] - values[rows].mean() for rows in of_clip]).std())

    return {
        "PSNR": psnr_of_mouth_half(faces, truth), "sharpness": sharpness(faces) / max(sharpness(truth), 1e-9),
        "r": sum(rs) / max(len(rs), 1), "range": within(opened) / within(real),
    }  # fmt: skip


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, help="a pack, or data as train.py reads it")
    parser.add_argument("--model_path", type=reads, nargs="+", required=True)
    parser.add_argument("--steps", nargs="+", default=["1", "2", "3"])
    parser.add_argument("--reader", type=reads, default=CHECKPOINTS / "style-small", help="stage 1, which reads lips")
    parser.add_argument("--clips", type=int, default=16, help="of each split, spread over all")
    parser.add_argument("--frames", type=int, default=8, help="of each clip, spread over it")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    guard(parser, options)
    device = resolve_device(options.device)
    precision = resolve_precision("auto", device)
    reader = registry.load_motion(options.reader)
    for path in options.model_path:
        system = registry.load_system(path)
        clips = held_out(system, options.data, options.clips, options.frames)
        system = store_weights(system.to(device).to(memory_format=torch.channels_last), precision)
        speakers = {text: FaceSampler(system, sampling(system, text), precision=precision) for text in options.steps}
        if path is options.model_path[0]:  # what is refused has no table
            print("| checkpoint | steps | split | PSNR | sharpness | r | range | ms |\n|" + "---|" * 8)
        part = next(iter(clips.values())).rows(slice(0, BATCH)).to(device)
        ways = {text: partial(speaker, part) for text, speaker in speakers.items()}
        seconds = medians(ways, 3, device)
        for text, speaker in speakers.items():
            for split, batch in clips.items():
                values = figures(made(speaker, batch, device), batch, reader)
                cells = [path.stem if path.is_file() else path.name, text, split]
                cells += [f"{values['PSNR']:.2f}", *(f"{values[name]:.3f}" for name in ("sharpness", "r", "range"))]
                print(f"| {' | '.join(cells)} | {1000 * seconds[text] / BATCH:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
