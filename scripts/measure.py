"""How good a checkpoint is on held-out clips: mouth half masked, own sound given, a frame from elsewhere shown.

    python scripts/measure.py --data PREPARED [--model_path CHECKPOINT] [--frames 6] [--output figures.json]

For each clip, `frames` frames spread over it are generated with the clip's own sound, with the sound of another clip of
the same split and class, and compared with the real mouth half; `reference` is the same comparison for simply pasting
the reference frame's mouth.  The reference of a frame is the middle frame of the clip's other half.
Figures: PSNR (dB), SSIM and L1 (of 0..255) of the mouth half.  Intervals: 95 % bootstrap over speakers, means per
speaker first; over clips where a group has fewer than 3 speakers (marked *).
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.errors import BadInput
from core.flags import Parser
from core.guard import guard, reads, writes
from core.program import exit_code
from dataset import Clip, ClipBatch, entries, load_clip, to_pictures, window
from dataset.sampling import stack
from guided_diffusion.engine.device import resolve_device, resolve_precision, store_weights
from systems import registry
from systems.system import FaceSampler

KINDS = ("own", "other", "reference")


@dataclass(frozen=True)
class Row:
    """One clip's figures: name -> value, names like own/psnr."""

    group: str
    speaker: str
    clip: str
    figures: dict[str, float]


def group_of(split: str, speaker: str) -> str:
    """Arabic single words, 0-2 frames late, are counted apart; so is the GRID corpus, which rests in training."""
    kind = "Arabic words" if speaker.startswith("LRCAR") else "GRID" if speaker.startswith("GRID") else "other"
    return f"{split}, {kind}"


def frames_of(clip: Clip, count: int) -> ClipBatch:
    """`count` single-frame windows spread over the clip, as one sequence of independent frames."""
    n = len(clip)
    spread = np.linspace(0, n - 1, min(count, n) + 2).astype(int)[1:-1]
    parts = [window(clip, int(k), 1, 3 * n // 4 if k < n // 2 else n // 4) for k in spread]
    return stack(parts)


def compare(pictures: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """Mean PSNR, SSIM and L1 of the lower halves.  u8 [n, s, s, 3]."""
    half = truth.shape[1] // 2
    psnr, ssim, l1 = [], [], []
    for a, b in zip(pictures[:, half:], truth[:, half:], strict=True):
        difference = a.astype(np.float64) - b
        psnr.append(10 * np.log10(255**2 / max(float((difference**2).mean()), 1e-9)))
        ssim.append(structural_similarity(a, b, channel_axis=2, data_range=255))
        l1.append(float(np.abs(difference).mean()))
    return {"psnr": float(np.mean(psnr)), "ssim": float(np.mean(ssim)), "l1": float(np.mean(l1))}


def interval(rows: list[Row], value: str, minus: str | None = None) -> tuple[float, float, float, bool]:
    """Mean, lower and upper bound, and whether it is over speakers."""
    by_speaker = defaultdict(list)
    for row in rows:
        by_speaker[row.speaker].append(row.figures[value] - (row.figures[minus] if minus else 0.0))
    over_speakers = len(by_speaker) >= 3
    units = [np.mean(v) for v in by_speaker.values()] if over_speakers else [x for v in by_speaker.values() for x in v]
    values = np.array(units)
    draws = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(values.mean()), float(low), float(high), over_speakers


def measure(speaker: FaceSampler, clips: list[Clip], other: list[Clip], split: str, frames: int) -> list[Row]:
    """other[i] is the clip whose sound clip i is given as the wrong one."""
    device = next(speaker.system.parameters()).device  # type: ignore[attr-defined]
    rows = []
    for clip, wrong in tqdm(list(zip(clips, other, strict=True)), desc=split, unit="clip", disable=None):
        batch = frames_of(clip, frames)
        foreign = frames_of(wrong, frames).mel
        mel = foreign[torch.arange(len(batch.mel)) % len(foreign)]
        truth, reference = to_pictures(batch.faces[:, 0]), to_pictures(batch.reference[:, 0])
        figures = {f"reference/{k}": v for k, v in compare(reference, truth).items()}
        for name, sound in (("own", batch.mel), ("other", mel)):
            spoken = speaker(ClipBatch(batch.faces, batch.reference, {"mel": sound}, batch.speech).to(device))
            figures |= {f"{name}/{k}": v for k, v in compare(to_pictures(spoken[:, 0]), truth).items()}
        rows.append(Row(group_of(split, clip.speaker), clip.speaker, clip.name, figures))
    return rows


def others(clips: list[Clip], split: str) -> list[Clip]:
    """For each clip another one of its group, of another speaker where the group has several."""
    result = []
    for i, clip in enumerate(clips):
        same = [c for c in clips if group_of(split, c.speaker) == group_of(split, clip.speaker) and c is not clip]
        foreign = [c for c in same if c.speaker != clip.speaker] or same or [c for c in clips if c is not clip]
        result.append(foreign[(i * 7 + 3) % len(foreign)])
    return result


def table(rows: list[Row]) -> str:
    lines = [
        "| held-out clips | speakers / clips | PSNR own | PSNR other sound | PSNR reference pasted | own - other, dB "
        "| SSIM own / other / ref. | L1 own / other / ref. |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = sorted({row.group for row in rows})
    for name in [*names, *sorted({row.group.split(",")[0] + ", all" for row in rows})]:
        chosen = [r for r in rows if r.group == name or name == r.group.split(",")[0] + ", all"]
        cells = []
        for kind in KINDS:
            mean, low, high, _ = interval(chosen, f"{kind}/psnr")
            cells.append(f"{mean:.2f} [{low:.2f}, {high:.2f}]")
        mean, low, high, over_speakers = interval(chosen, "own/psnr", "other/psnr")
        cells.append(f"**{mean:+.2f}** [{low:+.2f}, {high:+.2f}]{'' if over_speakers else ' *'}")
        for figure, digits in (("ssim", 3), ("l1", 2)):
            cells.append(" / ".join(f"{interval(chosen, f'{kind}/{figure}')[0]:.{digits}f}" for kind in KINDS))
        lines.append(f"| {name} | {len({r.speaker for r in chosen})} / {len(chosen)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, help="prepared folder with the splits seen and test")
    parser.add_argument("--model_path", type=reads, default=registry.SMALL_DIFF2LIP)
    parser.add_argument("--frames", type=int, default=6, help="frames of each clip")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--output", type=writes, help="per-clip figures as JSON")
    options = parser.parse_args()
    guard(parser, options)
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    system = registry.load_system(options.model_path)
    if system.needs.motion:
        raise BadInput(f"{options.model_path}: is told lip motion; measure it with scripts/measure_rendering.py")
    speaker = FaceSampler(store_weights(system.to(device), precision), precision=precision)
    rows = []
    for split in ("seen", "test"):
        clips = [load_clip(entry) for entry in entries(options.data, split)]
        rows += measure(speaker, clips, others(clips, split), split, options.frames)
    print(table(rows))
    if options.output:
        options.output.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    sys.exit(exit_code(main))
