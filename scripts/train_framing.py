"""Trains what corrects the boxes of the built-in face detector (face_detection/reframing.py), in minutes on a CPU.

    python scripts/train_framing.py --list clips.csv --output checkpoints/framing.safetensors [--steps 1500]
    python scripts/train_framing.py --data PACK --output checkpoints/framing.safetensors

The list has the columns file, split and speaker, of 224x224 face crops as VoxCeleb2 is published; a pack
(scripts/pack_training.py) holds such crops.  Whatever lies in `train` is learned from, every speaker by the square root
of their share.  Boxes are moved and resized at random, and
the network learns to undo it.  Prints how boxes lie, before and after, on the faces of the other splits.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from core.atomic import atomic
from core.errors import BadInput, NoData
from core.flags import Parser
from core.guard import guard, reads, writes
from core.program import exit_code
from dataset.pack import packed
from dataset.source import listed
from face_detection import voxceleb2_box
from face_detection.reframing import CONTEXT, ROUNDS, SIDE, FramingNetwork
from video import read_frames

STORED = 112  # pixels of a crop: half of the published 224
FACE = voxceleb2_box(STORED, STORED)
FIRST, LAST = 3, 30  # the frames of a clip that are learned from
SHIFT, GROWTH, TURN = 0.18, 0.3, 0.08  # how far boxes are moved (of their sizes), resized (log), turned (radians)
BATCH, RATE = 96, 1.5e-3


@dataclass(frozen=True)
class Filmed:
    """A video of crops, and who is seen in it."""

    video: Path
    speaker: str


@dataclass(frozen=True)
class Crops:
    """Published crops u8 [n, 3, 112, 112], and who is seen in each."""

    pictures: Tensor
    speakers: list[str]


def crops(sources: list[Filmed]) -> Crops:
    """Two frames of each video that can be read."""
    pictures, speakers = [], []
    for source in tqdm(sources, desc="read", unit="clip", disable=None):
        try:
            frames = list(islice(read_frames(source.video), LAST + 1))
        except BadInput as problem:
            tqdm.write(f"left out: {problem}", file=sys.stderr)
            continue
        for number in (min(FIRST, len(frames) - 1), len(frames) - 1):
            pictures.append(cv2.resize(frames[number], (STORED, STORED), interpolation=cv2.INTER_AREA))
            speakers.append(source.speaker)
    if not pictures:
        raise NoData("none of the videos can be read; see the lines above")
    return Crops(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), speakers)


def seen(pictures: Tensor, change: Tensor, turn: Tensor) -> Tensor:
    """What the network sees of boxes that are off by `change` [n, 3] and turned: [n, 3, 64, 64] in [-1, 1]."""
    line = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    size = torch.tensor([FACE.width, FACE.height])
    place = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)          # [64, 64, 2]
    place = place * (size * CONTEXT * change[:, 2:].exp())[:, None, None]
    cosine, sine = turn.cos()[:, None, None], turn.sin()[:, None, None]
    x, y = place.unbind(dim=-1)
    place = torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)
    place = place + (torch.tensor(FACE.centre) + change[:, :2] * size)[:, None, None]
    grid = place / (STORED / 2) - 1
    return F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False) / 127.5 - 1


def varied(faces: Tensor, rng: torch.Generator) -> Tensor:
    """In other light, through another camera."""

    def drawn(*shape: int) -> Tensor:
        return torch.rand(len(faces), *shape, generator=rng)

    faces = faces * (0.7 + 0.6 * drawn(1, 1, 1)) + 0.4 * (drawn(3, 1, 1) - 0.5)
    soft = F.avg_pool2d(F.pad(faces, (1, 1, 1, 1), mode="replicate"), 3, 1)
    faces = torch.where(drawn(1, 1, 1) < 0.3, soft, faces)
    return faces + 0.05 * drawn(1, 1, 1) * torch.randn(faces.shape, generator=rng)


def training_batch(known: Crops, chances: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faces as the network sees them [n, 3, 64, 64], and how to correct their boxes [n, 3]."""
    pictures = known.pictures[torch.multinomial(chances, BATCH, replacement=True, generator=rng)]
    mirrored = torch.rand(BATCH, 1, 1, 1, generator=rng) < 0.5
    pictures = torch.where(mirrored, pictures.flip(3), pictures)
    change = (2 * torch.rand(BATCH, 3, generator=rng) - 1) * torch.tensor([SHIFT, SHIFT, GROWTH])
    turn = TURN * torch.randn(BATCH, generator=rng)
    back = torch.cat([-change[:, :2] / change[:, 2:].exp(), -change[:, 2:]], dim=1)
    return varied(seen(pictures, change, turn), rng), back


def overlap(change: Tensor) -> Tensor:
    """Intersection over union of boxes that are off by `change` with those that are not."""
    half = change[:, 2:].exp() / 2
    sides = (torch.clamp(change[:, :2] + half, max=0.5) - torch.clamp(change[:, :2] - half, min=-0.5)).clamp(min=0)
    shared = sides.prod(dim=1)
    return shared / (1 + (2 * half[:, 0]) ** 2 - shared)


@torch.inference_mode()
def judged(network: FramingNetwork, known: Crops) -> str:
    """Boxes off by up to 12 % and 20 % in size, and corrected: median and tenth-percentile IoU."""
    rng = torch.Generator().manual_seed(1)
    change = (2 * torch.rand(len(known.pictures), 3, generator=rng) - 1) * torch.tensor([0.12, 0.12, 0.2])
    overlaps = [overlap(change)]
    for _ in range(ROUNDS):
        step = network(seen(known.pictures, change, torch.zeros(len(change))))
        change = change + torch.cat([step[:, :2] * change[:, 2:].exp(), step[:, 2:]], dim=1)
    overlaps.append(overlap(change))
    before, after = (f"{one.median():.3f} | {one.quantile(0.1):.3f}" for one in overlaps)
    return f"{len(known.pictures)} | {len(set(known.speakers))} | {before} | {after}"


def trained(known: Crops, steps: int) -> FramingNetwork:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    network = FramingNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    counts = Counter(known.speakers)
    chances = torch.tensor([counts[speaker] ** -0.5 for speaker in known.speakers])
    for step in tqdm(range(steps), desc="train", unit="step", disable=None):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50, 2 * (steps - step) / steps)
        faces, correction = training_batch(known, chances, rng)
        optimizer.zero_grad()
        loss = F.smooth_l1_loss(10 * network(faces), 10 * correction)
        loss.backward()
        optimizer.step()
    return network.eval()


def main() -> None:
    parser = Parser(__doc__)
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--list", type=reads, metavar="CSV")
    data.add_argument("--data", type=reads, metavar="PACK")
    parser.add_argument("--output", type=writes, required=True, metavar="FILE")
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    guard(parser, options)
    by_split: dict[str, list[Filmed]] = {}
    if options.data is None:
        for source in listed(options.list, Path()):
            by_split.setdefault(source.target.parts[0], []).append(Filmed(source.video, source.speaker))
    else:
        for split, clips in packed(options.data, STORED, "box").items():
            by_split |= {split: [Filmed(clip.path, clip.speaker) for clip in clips]} if clips else {}
    if "train" not in by_split:
        raise NoData(f"{options.list or options.data}: nothing is in the split train")
    network = trained(crops(by_split.pop("train")), options.steps)
    with atomic(options.output) as temporary:
        save_file({name: value.half() for name, value in network.state_dict().items()}, temporary)
    print("| split | faces | speakers | IoU before: median | p10 | after: median | p10 |")
    print("|---|---|---|---|---|---|---|")
    for split, sources in sorted(by_split.items()):
        print(f"| {split} | {judged(network, crops(sources))} |")


if __name__ == "__main__":
    sys.exit(exit_code(main))
