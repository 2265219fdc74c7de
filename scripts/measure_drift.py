"""Whether what is made frame after frame drifts: error by place in the chain, against the same frames made alone.

    python scripts/measure_drift.py --data PREPARED --model_path CHECKPOINT [--frames 320] [--clips 2]

The longest clips of all splits, played back and forth to `frames` frames (generate.py begins a chain anew after 320),
are given their own sound back.  PSNR of the mouth half, dB, in bins: `chained` as generate.py makes them, `alone` each
frame as the first of a chain; and the mean brightness of the chained mouth half less the real one's, of 255.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.errors import BadInput
from core.flags import Parser
from core.guard import reads
from core.program import exit_code
from dataset import ClipBatch, Footage, corpus, stack, window
from guided_diffusion.engine.device import resolve_device, resolve_precision, store_weights
from systems import registry, validation
from systems.system import FaceSampler

BIN = 64  # frames


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
    pairs = zip(faces.split(BIN), truth.split(BIN), strict=True)
    return [validation.psnr_of_mouth_half(some, real) for some, real in pairs]


def brightness(faces: Tensor, truth: Tensor) -> list[float]:
    """Of the mouth half, made less real, of 255, bin by bin."""
    half = truth.shape[-2] // 2
    return [float(part[..., half:, :].mean()) * 127.5 for part in (faces - truth).split(BIN)]


@torch.inference_mode()
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True)
    parser.add_argument("--model_path", type=reads, required=True)
    parser.add_argument("--frames", type=int, default=320)
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = resolve_device(options.device)
    system = registry.load_system(options.model_path).to(device)
    if system.needs.filterbanks or system.needs.motion:
        raise BadInput(f"{options.model_path}: this script knows systems that hear the mel alone")
    precision = resolve_precision("auto", device)
    speaker = FaceSampler(store_weights(system, precision), precision=precision)
    everything = [clip for clips in corpus(options.data, system.size).values() for clip in clips]
    longest = sorted(everything, key=lambda clip: -(clip.amount or 0))[: options.clips]
    rows: list[list[list[float]]] = []
    for clip in tqdm(longest, unit="clip", disable=None):
        clips = there_and_back(clip, options.frames).to(device)
        truth = clips.faces[:, 0]
        together = speaker(chained(clips))[0]
        alone = torch.cat([speaker(clips.rows(slice(k, k + 8)))[:, 0] for k in range(0, options.frames, 8)])
        rows.append([by_bin(together, truth), by_bin(alone, truth), brightness(together, truth)])
    means = torch.tensor(rows).mean(dim=0).T.tolist()
    print(f"{len(longest)} clips: {', '.join(clip.name for clip in longest)}\n")
    print("| frames of the chain | chained, dB | alone, dB | brightness, made less real |\n|---|---|---|---|")
    for k, (one, other, light) in enumerate(means):
        print(f"| {k * BIN}-{min((k + 1) * BIN, options.frames) - 1} | {one:.2f} | {other:.2f} | {light:+.2f} |")


if __name__ == "__main__":
    sys.exit(exit_code(main))
