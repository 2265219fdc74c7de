"""Packs face crops and their labels into pieces that fit a limit, to be carried to a machine with a GPU.

    python scripts/pack_training.py --list clips.csv --output PACK --landmarker face_landmarker.task
        [--mediapipe_python PY] [--motion checkpoints/style-small] [--limit 58] [--frames N] [--splits train,seen,test]

The list has the columns file, split and speaker, of face crops as VoxCeleb2 is published (mp4).  The pack
(dataset/pack.py) is what `train.py --data PACK` reads.  Every piece is a fair sample: clips of each speaker are spread
over all of them.  Points that were found are kept in PACK/points, so the same command goes on where it stopped.  The
lip motion is in the space of the stage 1 of --motion, which PACK/motion_space.npz keeps.  A clip without a face in over
a tenth of its frames is left out.
"""

import argparse
import math
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from core.atomic import atomic
from core.beside import beside
from core.errors import BadInput, BadValue, NoData, Unwritable
from core.flags import Parser
from core.guard import guard, reads, writes_into
from core.program import GOES_ON, exit_code
from dataset.pack import Labels
from dataset.source import Source, listed
from face_detection.alignment import POINTS
from face_detection.mediapipe_client import MediaPipe, in_margin
from systems.registry import load_motion
from systems.style.frontal import WANTED, frontal
from systems.style.labels import SPACE
from systems.style.lip_motion import MotionSpace
from video import probe, read_frames

LOOKED = tuple(dict.fromkeys((*WANTED, *POINTS)))  # of MediaPipe's points, those that are kept
ALIGNING = [LOOKED.index(point) for point in POINTS]
MOVING = [LOOKED.index(point) for point in WANTED]
EDGE = 40   # pixels of their own edge around the crops: MediaPipe's detector wants faces smaller than the picture
LOST = 0.1  # share of a clip's frames in which no face may be found; there the points are those between
Points = NDArray[np.float32]


@dataclass(frozen=True)
class Packed:
    """A clip that goes into the pack: its labels on disk, and what both take, bytes."""

    source: Source
    labels: Path
    size: int


def kept(sources: Sequence[Source], frames: int | None) -> list[Source]:
    """All, but of a training speaker with more than so many frames only some clips, spread over all."""
    by_speaker = defaultdict(list)
    for source in sources:
        by_speaker[source.target.parts[-3:-1]].append(source)
    clips_kept = []
    for (split, _), clips in by_speaker.items():
        if frames is not None and split == "train":
            total = sum(probe(source.video).frames for source in clips)
            share = min(1.0, frames / total)
            numbers = np.unique(np.linspace(0, len(clips) - 1, max(1, round(share * len(clips)))).astype(int))
            clips = [clips[number] for number in numbers]
        clips_kept += clips
    return clips_kept


def spread(clips: Sequence[Packed]) -> list[Packed]:
    """In an order any stretch of which has the clips of each speaker in their share."""
    by_speaker = defaultdict(list)
    for clip in clips:
        by_speaker[clip.source.target.parts[-3:-1]].append(clip)
    placed = [((k + 0.5) / len(own), key, clip) for key, own in by_speaker.items() for k, clip in enumerate(own)]
    return [clip for *_, clip in sorted(placed, key=lambda one: one[:2])]


def pieces(clips: Sequence[Packed], limit: int) -> Iterator[list[Packed]]:
    """As few pieces of at most `limit` bytes as can be, of about one size."""
    count = -(-sum(clip.size for clip in clips) // limit)
    share = sum(clip.size for clip in clips) / count
    piece: list[Packed] = []
    taken = 0
    for clip in clips:
        size = sum(one.size for one in piece)
        if piece and (size + clip.size > limit or taken + size >= share * (1 + taken // max(share, 1))):
            yield piece
            taken, piece = taken + size, []
        piece.append(clip)
    yield piece


def find_points(finder: MediaPipe, video: Path) -> Points:
    """f32 [t, p, 3] in pixels, NaN where no face was found."""
    frames = np.stack(list(read_frames(video)))
    return finder.find_in_space(in_margin(frames, EDGE)) - np.array([EDGE, EDGE, 0], np.float32)


def labelled(points: Points, space: MotionSpace) -> Labels | None:
    """The labels of a clip; None if too few of its frames show a face."""
    known = np.isfinite(points).all(axis=(1, 2))
    if known.mean() < 1 - LOST:
        return None
    frames = np.arange(len(points))
    flat = points.reshape(len(points), -1)
    whole = np.stack([np.interp(frames, frames[known], column[known]) for column in flat.T], axis=1).astype(np.float32)
    points = whole.reshape(points.shape)
    motion = space.motion(torch.from_numpy(frontal(points[:, MOVING])))
    return Labels(points[:, ALIGNING, :2], motion.numpy(), space.opening(motion).numpy())


def look(sources: Sequence[Source], options: argparse.Namespace) -> None:
    """Finds the points of all clips that have none yet."""
    waiting = [source for source in sources if not points_path(options.output, source).exists()]
    with ExitStack() as stack:
        finders = [
            stack.enter_context(MediaPipe(options.mediapipe_python, options.landmarker, LOOKED))
            for _ in range(options.processes if waiting else 0)
        ]
        bar = stack.enter_context(tqdm(total=len(waiting), desc="landmarks", unit="clip", disable=None))

        def work(number: int, check: Callable[[], None]) -> None:
            for source in waiting[number :: options.processes]:
                check()
                path = points_path(options.output, source)
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic(path) as temporary, temporary.open("wb") as file:
                    np.save(file, find_points(finders[number], source.video))
                bar.update()

        beside([partial(work, number) for number in range(len(finders))], options.processes, "landmarks")


def points_path(output: Path, source: Source) -> Path:
    return output.joinpath("points", *source.target.parts[-3:]).with_suffix(".npy")


def label(sources: Sequence[Source], output: Path, space: MotionSpace) -> list[Packed]:
    clips = []
    for source in tqdm(sources, desc="label", unit="clip", disable=None):
        path = points_path(output, source)
        labels = labelled(np.load(path, allow_pickle=False), space)
        if labels is None:
            tqdm.write(f"left out: {source.video}: no face in over {LOST:.0%} of its frames", file=sys.stderr)
            continue
        labels.save(path.with_suffix(".npz"))
        size = source.video.stat().st_size + path.with_suffix(".npz").stat().st_size
        clips.append(Packed(source, path.with_suffix(".npz"), size))
    if not clips:
        raise NoData("no clip shows a face nearly throughout; see the lines above")
    return clips


def run(options: argparse.Namespace) -> None:
    if options.processes < 1:
        raise BadValue(f"--processes {options.processes}: is a number of landmarkers, 1 or more")
    if not 0 < options.limit < math.inf:
        raise BadValue(f"--limit {options.limit}: is a size in MB, above 0")
    if any(options.output.glob("piece-*")):
        raise Unwritable(f"{options.output}: has pieces already; remove them, or choose another folder")
    wanted = options.splits.split(",")
    sources = [source for source in listed(options.list, options.output) if source.target.parts[-3] in wanted]
    if not sources:
        raise NoData(f"{options.list}: nothing is in {options.splits}; name other --splits")
    if unfit := [source.video for source in sources if source.video.suffix.lower() != ".mp4"]:
        raise BadInput(f"{unfit[0]}: a pack holds mp4 files; convert it, or use python -m dataset.prepare")
    space = load_motion(options.motion).space
    assert isinstance(space, MotionSpace)
    sources = kept(sources, options.frames)
    look(sources, options)
    space.save(options.output / SPACE)
    clips = label(sources, options.output, space)
    for number, piece in enumerate(pieces(spread(clips), round(options.limit * 1e6))):
        for clip in piece:
            target = options.output.joinpath(f"piece-{number:03d}", *clip.source.target.parts[-3:])
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clip.source.video, target.with_suffix(".mp4"))
            shutil.copyfile(clip.labels, target.with_suffix(".npz"))
        print(f"piece-{number:03d}: {len(piece)} clips, {sum(clip.size for clip in piece) / 1e6:.1f} MB")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--list", type=reads, required=True, metavar="CSV")
    parser.add_argument("--output", type=writes_into, required=True, metavar="PACK")
    parser.add_argument("--landmarker", type=reads, required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--mediapipe_python", type=reads, default=Path(sys.executable), help="who has mediapipe")
    parser.add_argument("--motion", type=reads, default=Path("checkpoints/style-small"), help="stage 1, for its space")
    parser.add_argument("--limit", type=float, default=58, help="of a piece, MB")
    parser.add_argument("--frames", type=int, help="of each training speaker, at most; all if left out")
    parser.add_argument("--splits", default="train,seen,test")
    parser.add_argument("--processes", type=int, default=2, help="landmarkers at work")
    options = parser.parse_args()
    guard(parser, options)
    run(options)


if __name__ == "__main__":
    sys.exit(exit_code(main, stopped=GOES_ON))
