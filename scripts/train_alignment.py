"""Trains what finds nine points of a face (face_detection/landmarks.py) on a pack, in a minute on a GPU.

    python scripts/train_alignment.py --data PACK --output checkpoints/landmarks.safetensors [--steps N] [--device cpu]

Frames of `train` are learned from, every speaker by the square root of their share, each seen from boxes that are
moved, resized and turned at random.  Prints how far the points are from MediaPipe's on the other splits, in the way
the product looks at a face: from a box that is off, then once more from what was found.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from core.errors import NoData
from core.flags import Parser
from core.guard import guard, reads, writes
from core.program import exit_code
from dataset.pack import PackClip, packed
from face_detection.alignment import MIRRORED, POINTS, RIGID, TALL, TEMPLATE
from face_detection.landmarks import CONTEXT, SIDE, LandmarkNetwork
from guided_diffusion.engine.device import autocast, resolve_device
from video import read_frames
from video.opening import one_thread_each

STORED = 128  # pixels of a published crop as it is kept
EVERY = 7  # frames of a clip, of which one is learned from
SHIFT, GROWTH, TURN, FAR = 0.12, 0.25, 8.0, 50.0  # of boxes: of their sizes, log, degrees; the last of half of them
BEND = 0.015  # of the side: the standard deviation of what bends a face
RATE = 1.5e-3


@dataclass(frozen=True)
class Crops:
    """Published crops u8 [n, 3, m, m], the points of each [n, 9, 2] in pixels of them, and who is seen in each."""

    pictures: Tensor
    points: Tensor
    speakers: list[str]


def crops(clips: Sequence[PackClip], device: torch.device) -> Crops:
    """Every so manieth frame of each clip."""

    def read(clip: PackClip) -> tuple[np.ndarray, np.ndarray]:
        frames = list(read_frames(clip.path))[::EVERY]
        small = np.stack([cv2.resize(frame, (STORED, STORED), interpolation=cv2.INTER_AREA) for frame in frames])
        return small, clip.labels.points[::EVERY] * (STORED / frames[0].shape[0])

    with one_thread_each(), ThreadPoolExecutor() as pool:
        crops_read = list(tqdm(pool.map(read, clips), total=len(clips), desc="read", unit="clip", disable=None))
    speakers = [clip.speaker for clip, (pictures, _) in zip(clips, crops_read, strict=True) for _ in pictures]
    pictures = torch.from_numpy(np.concatenate([pictures for pictures, _ in crops_read])).permute(0, 3, 1, 2)
    points = torch.from_numpy(np.concatenate([points for _, points in crops_read]))
    return Crops(pictures.contiguous().to(device), points.to(device), speakers)


def faces_of(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centre [n, 2], height [n] and angle [n] (radians) of aligned boxes, as `alignment.aligned_boxes`."""
    template = torch.tensor(list(TEMPLATE.values()), dtype=torch.float64, device=points.device)[:RIGID]
    target = torch.view_as_complex(template)
    middle = target.mean()
    z = torch.view_as_complex(points[:, :RIGID].double().contiguous())
    centre = z.mean(dim=1)
    turned = ((target - middle).conj() * (z - centre[:, None])).sum(dim=1) / (target - middle).abs().square().sum()
    origin = centre + turned * (0.5 + 0.5j * TALL - middle)
    return torch.view_as_real(origin).float(), (turned.abs() * TALL).float(), turned.angle().float()


def seen(pictures: Tensor, centre: Tensor, side: Tensor, angle: Tensor, field: Tensor | None = None) -> Tensor:
    """What the network sees of squares: [n, 3, 96, 96] in [-1, 1], bent by a field [n, 2, 96, 96] of their sides."""
    line = (torch.arange(SIDE, device=pictures.device) + 0.5) / SIDE - 0.5
    place = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)[None]
    place = (place if field is None else place + field.permute(0, 2, 3, 1)) * side[:, None, None, None]
    place = turned(place, angle[:, None, None]) + centre[:, None, None]
    grid = place / (STORED / 2) - 1
    return F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False) / 127.5 - 1


def fields(count: int, rng: torch.Generator) -> Tensor:
    """Smooth displacements [n, 2, 96, 96], shares of the side: a few faces stand for faces of other shapes."""
    bends = BEND * torch.randn(count, 2, 4, 4, generator=rng, device=rng.device)
    return F.interpolate(bends, size=SIDE, mode="bicubic", align_corners=True)


def bent(places: Tensor, field: Tensor) -> Tensor:
    """Where what lay at places [n, 9, 2] of the square is seen in a square that is bent by the field."""
    offsets = places
    for _ in range(4):                                                  # found + field(found) = places
        moved = F.grid_sample(field, 2 * offsets[:, None] - 1, padding_mode="border", align_corners=False)[:, :, 0]
        offsets = places - moved.mT
    return offsets


def turned(places: Tensor, angle: Tensor) -> Tensor:
    """[..., 2] turned clockwise by radians [...]."""
    x, y = places.unbind(dim=-1)
    return torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y], dim=-1)


def shares(points: Tensor, centre: Tensor, side: Tensor, angle: Tensor) -> Tensor:
    """Where points [n, 9, 2] lie in squares, as shares of their sides."""
    return 0.5 + turned(points - centre[:, None], -angle[:, None]) / side[:, None, None]


def varied(faces: Tensor, rng: torch.Generator) -> Tensor:
    """In other light, through another camera, a part of it hidden."""

    def drawn(*shape: int) -> Tensor:
        return torch.rand(len(faces), *shape, generator=rng, device=faces.device)

    faces = faces * (0.7 + 0.6 * drawn(1, 1, 1)) + 0.4 * (drawn(3, 1, 1) - 0.5)
    soft = F.interpolate(F.avg_pool2d(faces, 3), size=SIDE, mode="bilinear", align_corners=False)
    faces = torch.where(drawn(1, 1, 1) < 0.3, soft, faces)
    line = torch.arange(SIDE, device=faces.device) / SIDE
    start, size = drawn(2, 1), 0.35 * drawn(2, 1)
    inside = (line >= start) & (line < start + size)                    # [n, 2, 96]
    hidden = inside[:, 0, :, None] & inside[:, 1, None, :] & (drawn(1, 1) < 0.25)
    faces = torch.where(hidden[:, None], drawn(3, 1, 1) * 2 - 1, faces)
    noise = torch.randn(faces.shape, generator=rng, device=faces.device)
    return faces + 0.05 * drawn(1, 1, 1) * noise


def squares(points: Tensor, rng: torch.Generator, far: float) -> tuple[Tensor, Tensor, Tensor]:
    """Centre, side and angle of squares that are off at random; `far` of them by any tilt of a head."""

    def drawn(*shape: int) -> Tensor:
        return 2 * torch.rand(len(points), *shape, generator=rng, device=points.device) - 1

    centre, height, angle = faces_of(points)
    centre = centre + SHIFT * height[:, None] * drawn(2)
    most = torch.where(drawn() < 2 * far - 1, FAR, TURN)
    return centre, CONTEXT * height * (GROWTH * drawn()).exp(), angle + torch.deg2rad(most * drawn())


def trained(known: Crops, steps: int, batch: int) -> LandmarkNetwork:
    torch.manual_seed(0)
    device = known.pictures.device
    rng = torch.Generator(device).manual_seed(0)
    network = LandmarkNetwork().to(device)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    counts = Counter(known.speakers)
    chances = torch.tensor([counts[speaker] ** -0.5 for speaker in known.speakers], device=device)
    mirror = torch.tensor(MIRRORED, device=device)
    for step in tqdm(range(steps), desc="train", unit="step", mininterval=10):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50, 2 * (steps - step) / steps)
        indices = torch.multinomial(chances, batch, replacement=True, generator=rng)
        pictures, points = known.pictures[indices], known.points[indices]
        flipped = torch.rand(batch, generator=rng, device=device) < 0.5
        pictures = torch.where(flipped[:, None, None, None], pictures.flip(3), pictures)
        away = points[:, mirror] * points.new_tensor([-1, 1]) + points.new_tensor([STORED, 0])
        points = torch.where(flipped[:, None, None], away, points)
        square = squares(points, rng, 0.5)
        field = fields(batch, rng)
        with autocast(device, torch.bfloat16):
            places, doubt = network(varied(seen(pictures, *square, field), rng))
        places, doubt = places.float(), doubt.float()
        apart = (places - bent(shares(points, *square), field)).abs().sum(dim=2)  # [n, 9]
        optimizer.zero_grad()
        unsure = (apart.detach() * (-doubt).exp() + 2 * doubt).mean()   # Laplace, two coordinates
        (10 * apart.mean() + 0.1 * unsure).backward()
        optimizer.step()
    return network.eval()


@torch.inference_mode()
def judged(network: LandmarkNetwork, known: Crops, far: float) -> str:
    """How far points are from MediaPipe's, pixels of a published crop of 224: mean, 95th percentile, eyes and nose."""
    rng = torch.Generator(known.pictures.device).manual_seed(1)
    centre, side, angle = squares(known.points, rng, far)
    for _ in range(2):
        places, _ = network(seen(known.pictures, centre, side, angle))
        points = turned(places - 0.5, angle[:, None]) * side[:, None, None] + centre[:, None]
        centre, height, angle = faces_of(points)
        side = CONTEXT * height
    off = (points - known.points).norm(dim=2) * 224 / STORED
    tilt = torch.rad2deg((angle - faces_of(known.points)[2]).abs())
    return f"{off.mean():.2f} | {off.quantile(0.95):.2f} | {off[:, :RIGID].mean():.2f} | {tilt.mean():.2f}"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, metavar="PACK")
    parser.add_argument("--output", type=writes, required=True, metavar="FILE")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    guard(parser, options)
    device = resolve_device(options.device)
    splits = packed(options.data, STORED, "box")
    if not splits.get("train"):
        raise NoData(f"{options.data}: no pack with clips to train on; make one with scripts/pack_training.py")
    network = trained(crops(splits["train"], device), options.steps, options.batch)
    with atomic(options.output) as temporary:
        save_file({name: value.half().cpu() for name, value in network.state_dict().items()}, temporary)
    print(f"{len(POINTS)} points, pixels of a published crop; boxes off by up to {SHIFT:g}, {GROWTH:g}")
    print("| split | frames | tilted | mean | p95 | eyes and nose | angle |")
    print("|---|---|---|---|---|---|---|")
    for split in ("seen", "test"):
        if splits.get(split):
            known = crops(splits[split], device)
            for name, far in (("up to 8", 0.0), ("up to 50", 1.0)):
                print(f"| {split} | {len(known.points)} | {name} | {judged(network, known, far)} |")


if __name__ == "__main__":
    sys.exit(exit_code(main))
