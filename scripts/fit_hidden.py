"""Fits how the doubt of nine points tells a hidden mouth (face_detection/fitness.py: HIDING), and says how well.

    python scripts/fit_hidden.py --data faces.csv [--full FOLDER] [--clips 2]

Drawn hands, fists, microphones, cups and squares are put before mouths.  Fitted on people of `train` with three of
these kinds, by logistic regression; judged on people of `seen` and `test`, and in whole videos, with all five.  Prints
the weights, scaled so that 1 is the limit, and how many frames of each kind pass it.  Minutes on one core.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from core.errors import NoFace
from core.flags import Parser
from core.guard import guard, reads
from core.program import exit_code
from dataset.folders import VIDEO_SUFFIXES, files_below
from dataset.source import listed
from face_detection import Box, Landmarks, load_detector, voxceleb2_box
from face_detection.alignment import MIRRORED
from face_detection.fitness import lip_doubt
from face_detection.landmarks import Found
from lipsync.planning.face_selection import FaceSelector
from lipsync.settings import Settings
from video import pick_frames, probe

KINDS = ("square", "hand", "cup", "fist", "microphone")
FITTED = 3  # of them, the first
EACH = 12  # frames of a clip
LONGEST = 300  # frames of a whole video that are looked at, every third
USUAL, ABOVE = 99, 2.6  # 1 is so many times this percentile of the scores of bare mouths: above what whole videos reach

Picture = np.ndarray
Doubts = dict[str, np.ndarray]  # kind, or "bare" -> f32 [n, 9] of one clip


def hidden(frame: Picture, found: Found, kind: str, rng: np.random.Generator) -> Picture:
    """The frame with something drawn before the mouth, somewhat askew: u8 [h, w, 3] RGB."""
    frame, points = frame.copy(), found.points
    width = float(np.linalg.norm(points[0] - points[3]))
    middle = points[7:9].mean(axis=0) + rng.normal(0, 0.08 * width, 2)
    size = 0.33 * width * rng.uniform(0.8, 1.3)
    cheek = np.clip(points[5] - [0.0, 0.45 * width], 0, np.array(frame.shape[1::-1]) - 1).astype(int)
    skin = frame[cheek[1], cheek[0]].astype(float)
    if kind in ("square", "cup"):
        low, high = ([-1.3, -1.0], [1.3, 1.0]) if kind == "square" else ([-0.8, -0.6], [0.8, 2.5])
        colour = np.repeat(rng.integers(20, 230), 3) if kind == "square" else rng.integers(120, 255, 3)
        corners = [_whole(middle + size * np.array(edge)) for edge in (low, high)]
        cv2.rectangle(frame, corners[0], corners[1], _whole(colour), -1)
    elif kind == "hand":
        angle = rng.uniform(-0.6, 0.6)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = along[::-1] * [-1, 1]
        for finger in range(4):
            place, light = middle + across * (finger - 1.5) * 0.5 * size, 0.78 + 0.07 * finger
            start, end = _whole(place - along * 1.7 * size), _whole(place + along * 1.5 * size)
            thick = max(int(0.47 * size), 1)
            cv2.line(frame, start, end, _whole(np.clip(skin * light, 0, 255)), thick, cv2.LINE_AA)
    elif kind == "fist":
        axes, angle = _whole(size * np.array([1.5, 1.1])), rng.uniform(0, 180)
        cv2.ellipse(frame, _whole(middle + [0, 0.3 * size]), axes, angle, 0, 360, _whole(0.9 * skin), -1, cv2.LINE_AA)
    else:
        dark = _whole(rng.integers(10, 60, 3))
        cv2.circle(frame, _whole(middle + [0, 0.2 * size]), int(0.95 * size), dark, -1, cv2.LINE_AA)
    return frame


def _whole(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def clip_doubts(video: Path, boxes: dict[int, Box], finder: Landmarks, rng: np.random.Generator) -> Doubts:
    """What is doubted in these frames of a clip, bare and with each thing before the mouth."""
    doubts: dict[str, list[np.ndarray]] = {kind: [] for kind in ("bare", *KINDS)}
    for (_, box), frame in zip(boxes.items(), pick_frames(video, list(boxes)), strict=True):
        landmarks = finder.find(frame, box)
        doubts["bare"].append(landmarks.doubt)
        for kind in KINDS:
            doubts[kind].append(finder.find(hidden(frame, landmarks, kind, rng), box).doubt)
    return {kind: np.stack(values) for kind, values in doubts.items()}


def split_doubts(listing: Path, split: str, clips: int, finder: Landmarks) -> Iterator[Doubts]:
    """Those of some clips of everybody in a split."""
    sources = [source for source in listed(listing, Path(split)) if source.target.parts[1] == split]
    selected = []
    for _, those in groupby(sorted(sources, key=lambda source: source.speaker), key=lambda source: source.speaker):
        own = list(those)
        selected += [own[place] for place in np.linspace(0, len(own) - 1, min(clips, len(own))).round().astype(int)]
    for number, source in enumerate(tqdm(selected, desc=split, unit="clip", disable=None)):
        info = probe(source.video)
        frames = np.unique(np.linspace(0, info.frames - 1, EACH).astype(int)).tolist()
        boxes = dict.fromkeys(frames, voxceleb2_box(info.height, info.width))
        yield clip_doubts(source.video, boxes, finder, np.random.default_rng(number))


def video_doubts(folder: Path, finder: Landmarks) -> Iterator[Doubts]:
    """Those of the largest face of every video in a folder."""
    for number, name in enumerate(tqdm(sorted(files_below(folder, VIDEO_SUFFIXES)), desc="full", disable=None)):
        info = probe(folder / name)
        casting = FaceSelector(info, Settings(cache=None), lambda: load_detector("auto", say=lambda _: None))
        try:
            track = casting.track("largest", 0, min(info.frames, LONGEST))
        except NoFace:
            continue
        boxes = {k: box for k in range(0, len(track), 3) if (box := track.box(k)) is not None}
        yield clip_doubts(folder / name, boxes, finder, np.random.default_rng(number))


def against_own(clips: Sequence[Doubts], kind: str) -> np.ndarray:
    """[n, 9]: doubt, logarithms, less those of the bare clip it is of."""
    parts = [lip_doubt(clip[kind]) - np.median(lip_doubt(clip["bare"]), axis=0) for clip in clips]
    return np.concatenate(parts).astype(np.float64)


def fitted(clips: Sequence[Doubts]) -> np.ndarray:
    """The weights [9], the same for both sides of a face."""
    bare = against_own(clips, "bare")
    covered = np.concatenate([against_own(clips, kind) for kind in KINDS[:FITTED]])
    known = torch.from_numpy(np.concatenate([bare, covered]))
    known = (known + known[:, list(MIRRORED)]) / 2
    labels = torch.cat([torch.zeros(len(bare)), torch.ones(len(covered))]).double()
    fair = torch.where(labels > 0, 1.0, len(covered) / len(bare))
    weights = torch.zeros(10, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = known @ (weights[:9] * 20) + weights[9]
        value = F.binary_cross_entropy_with_logits(logits, labels, fair) + 1e-4 * weights[:9].square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    coefficients = weights[:9].detach().numpy()
    coefficients = (coefficients + coefficients[list(MIRRORED)]) / 2
    return np.asarray(coefficients / (ABOVE * np.percentile(bare @ coefficients, USUAL)))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, metavar="LIST", help="faces.csv, as dataset.prepare takes")
    parser.add_argument("--full", type=reads, metavar="FOLDER", help="whole videos to judge by too")
    parser.add_argument("--clips", type=int, default=2, help="of everybody (%(default)s)")
    options = parser.parse_args()
    guard(parser, options)
    finder = Landmarks()
    splits = ("train", "seen", "test")
    groups = {split: list(split_doubts(options.data, split, options.clips, finder)) for split in splits}
    if options.full:
        groups["full"] = list(video_doubts(options.full, finder))
    weights = fitted(groups["train"])
    print("HIDING =", tuple(round(float(weight), 2) for weight in weights))
    print("| | frames | bare: p50, p99, most |", " | ".join(f"{kind}: passes, median" for kind in KINDS), "|")
    for name, clips in groups.items():
        bare = against_own(clips, "bare") @ weights
        cells = [f"{np.median(bare):.2f}, {np.percentile(bare, 99):.2f}, {bare.max():.2f}"]
        for kind in KINDS:
            scores = against_own(clips, kind) @ weights
            cells.append(f"{100 * (scores > 1).mean():.0f} %, {np.median(scores):.1f}")
        print(f"| {name} | {len(bare)} |", " | ".join(cells), "|")


if __name__ == "__main__":
    sys.exit(exit_code(main))
