"""Hidden mouth halves of held-out clips, made again with their own sound and with another's, against the real ones."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
import torch
from tqdm import tqdm

from core.arrays import Pictures
from core.errors import Mismatch
from dataset import Footage, Needs, to_pictures
from guided_diffusion.engine.device import resolve_device
from systems import registry
from systems.system import FaceSampler

from ..metrics.fidelity import lower, psnr, ssim
from ..report.files import write_json
from ..report.results import over_speakers
from ..report.tables import markdown, shown
from ..windows import face_sampler, group_of, held_out, single_frames, wrong_sounds

K = TypeVar("K")  # the conditions of a system

KINDS = ("own", "other", "reference")
LEAST = 3  # speakers over whom an interval is; of fewer it is over clips


@dataclass(frozen=True)
class Row:
    """One clip's figures: name -> value, names like own/psnr."""

    group: str
    speaker: str
    clip: str
    figures: dict[str, float]


def run(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Prints the table.  Raises BadInput for a model that is told lip motion."""
    device = resolve_device(options.device)
    system = registry.load_system(options.model_path)
    if system.needs.motion:
        raise Mismatch(f"{options.model_path}: is told lip motion; measure it with python -m evaluation render")
    speaker = face_sampler(system, device, options.precision)
    rows = []
    for split, clips in held_out(options.data, system).items():
        rows += measure(speaker, clips, split, options.frames, device)
    print(table(rows))
    if options.output:
        write_json(options.output, [asdict(row) for row in rows])


def compare(pictures: Pictures, truth: Pictures) -> dict[str, float]:
    """Mean PSNR, SSIM and L1 (of 0..255) of the lower halves.  u8 [n, s, s, 3] each."""
    result, real = lower(pictures), lower(truth)
    l1 = float(np.abs(result.astype(float) - real).mean())
    return {"psnr": psnr(real, result), "ssim": ssim(real, result), "l1": l1}


def measure(
    speaker: FaceSampler[K], clips: Sequence[Footage], split: str, frames: int, device: torch.device
) -> list[Row]:
    """A row a clip."""
    rows = []
    pairs = list(zip(clips, wrong_sounds(clips, split), strict=True))
    for clip, wrong in tqdm(pairs, desc=split, unit="clip", disable=None):
        batch, foreign = (single_frames(one, frames, Needs()) for one in (clip, wrong))
        mel = foreign.mel[torch.arange(len(batch.mel)) % len(foreign.mel)]
        truth = to_pictures(batch.faces[:, 0])
        results = {"reference": batch.reference}
        for name, sound in (("own", batch.mel), ("other", mel)):
            results[name] = speaker(batch.with_audio(mel=sound).to(device))
        compared = {kind: compare(to_pictures(faces[:, 0]), truth) for kind, faces in results.items()}
        figures = {f"{kind}/{name}": value for kind, values in compared.items() for name, value in values.items()}
        rows.append(Row(group_of(split, clip.speaker), clip.speaker, clip.name, figures))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line for each group of clips, and for each split."""
    header = [
        "held-out clips", "speakers / clips", "PSNR own", "PSNR other sound", "PSNR reference pasted",
        "own - other, dB", "SSIM own / other / ref.", "L1 own / other / ref.",
    ]  # fmt: skip
    groups = sorted({row.group for row in rows})
    splits = sorted({f"{row.group.split(',')[0]}, all" for row in rows})
    return markdown(header, [[name, *_cells([row for row in rows if _is_of(row, name)])] for name in groups + splits])


def _is_of(row: Row, name: str) -> bool:
    return name in (row.group, f"{row.group.split(',')[0]}, all")


def _cells(rows: Sequence[Row]) -> Iterator[str]:
    speakers = len({row.speaker for row in rows})
    yield f"{speakers} / {len(rows)}"
    for kind in KINDS:
        yield shown(over_speakers(((row.speaker, row.figures[f"{kind}/psnr"]) for row in rows), LEAST), 2)
    apart = ((row.speaker, row.figures["own/psnr"] - row.figures["other/psnr"]) for row in rows)
    yield f"{shown(over_speakers(apart, LEAST), 2, '+')}{' *' * (speakers < LEAST)}"
    for figure, digits in (("ssim", 3), ("l1", 2)):
        means = [over_speakers(((r.speaker, r.figures[f"{kind}/{figure}"]) for r in rows), LEAST) for kind in KINDS]
        yield " / ".join(f"{mean.value:.{digits}f}" for mean in means)
