"""Whether what is made frame after frame drifts: error by place in the chain, against the same frames made alone."""

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from core.errors import Mismatch
from dataset import ClipBatch, Footage, corpus, stack, window
from guided_diffusion.engine.device import resolve_device
from systems import registry, validation

from ..report.tables import markdown
from ..windows import face_sampler

BIN = 64  # frames
BATCH = 8  # frames made at a time where each is made alone


@torch.inference_mode()
def run(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Prints the table.  Raises BadInput for a system that hears more than the mel."""
    device = resolve_device(options.device)
    system = registry.load_system(options.model_path)
    if system.needs.filterbanks or system.needs.motion:
        raise Mismatch(f"{options.model_path}: hears more than the mel, all that it is given here; use another model")
    speaker = face_sampler(system, device)
    everything = [clip for clips in corpus(options.data, system.size).values() for clip in clips]
    longest = sorted(everything, key=lambda clip: -(clip.amount or 0))[: options.clips]
    bins: list[list[list[float]]] = []
    for clip in tqdm(longest, unit="clip", disable=None):
        clips = there_and_back(clip, options.frames).to(device)
        truth = clips.faces[:, 0]
        together = speaker(chained(clips))[0]
        alone = torch.cat([speaker(clips.rows(slice(k, k + BATCH)))[:, 0] for k in range(0, options.frames, BATCH)])
        bins.append([by_bin(together, truth), by_bin(alone, truth), brightness(together, truth)])
    means = torch.tensor(bins).mean(dim=0).T.tolist()
    print(f"{len(longest)} clips: {', '.join(clip.name for clip in longest)}\n")
    rows = [
        [f"{k * BIN}-{min((k + 1) * BIN, options.frames) - 1}", f"{one:.2f}", f"{other:.2f}", f"{light:+.2f}"]
        for k, (one, other, light) in enumerate(means)
    ]
    print(markdown(["frames of the chain", "chained, dB", "alone, dB", "brightness, made less real"], rows))


def there_and_back(clip: Footage, frames: int) -> ClipBatch:
    """So many frames of a clip played back and forth, each a sequence of one; the reference is the clip's middle."""
    last = len(clip) - 1
    places = [last - abs(last - k % (2 * last)) for k in range(frames)]
    return stack([window(clip, place, 1, len(clip) // 2) for place in places])


def chained(clips: ClipBatch) -> ClipBatch:
    """Sequences of one frame as one sequence."""
    return ClipBatch(
        clips.faces.transpose(0, 1), clips.reference.transpose(0, 1), {"mel": clips.mel.transpose(0, 1)},
        clips.speech[:1],
    )


def by_bin(faces: Tensor, truth: Tensor) -> list[float]:
    """PSNR of the mouth half of [n, 3, s, s] in [-1, 1], bin by bin."""
    pairs = zip(torch.split(faces, BIN), torch.split(truth, BIN), strict=True)
    return [validation.psnr_of_mouth_half(some, real) for some, real in pairs]


def brightness(faces: Tensor, truth: Tensor) -> list[float]:
    """Of the mouth half, made less real, of 255, bin by bin."""
    half = truth.shape[-2] // 2
    return [float(part[..., half:, :].mean()) * 127.5 for part in torch.split(faces - truth, BIN)]
