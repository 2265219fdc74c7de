"""What the lips do in prepared clips: landmarks beside each clip, and the space of lip motion that they span.

    python scripts/fit_motion.py --data PREPARED --landmarker face_landmarker.task [--mediapipe_python PY] [--frames N]

Beside each SPLIT/SPEAKER/NAME.npz comes NAME.landmarks.npy, f32 [t, p, 2] as `MotionSpace` takes them, NaN where no
face was found; and PREPARED/motion_space.npz, fitted on `train` alone, speakers counting by the root of their frames.
At most --frames of a training speaker are looked at, clips spread over all.  Clips that have landmarks are passed over,
so the same command goes on where it stopped; it needs an interpreter that has mediapipe (see docs/evaluation.md).
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from core.beside import beside
from core.errors import BadValue, NoData
from core.flags import Parser
from core.guard import reads
from core.program import GOES_ON, exit_code
from dataset import Entry, entries, load_clip
from face_detection.mediapipe_client import MediaPipe, in_margin
from systems.style.frontal import WANTED, frontal
from systems.style.labels import SPACE, landmarks_path, save_landmarks
from systems.style.lip_motion import MotionSpace


def chosen(data: Path, split: str, frames: int) -> list[Entry]:
    """The clips of a split that are looked at: all, but for `train` at most so many frames a speaker, spread."""
    available = entries(data, split)
    if split != "train":
        return available
    by_speaker = defaultdict(list)
    for entry in available:
        by_speaker[entry.speaker].append(entry)
    return [entry for clips in by_speaker.values() for entry in _spread(clips, frames)]


def _spread(clips: Sequence[Entry], frames: int) -> list[Entry]:
    lengths = [_length(entry) for entry in clips]
    share = min(1.0, frames / sum(lengths))
    indices = np.unique(np.linspace(0, len(clips) - 1, max(1, round(share * len(clips)))).astype(int))
    return [clips[number] for number in indices]


def _length(entry: Entry) -> int:
    with np.load(entry.path, allow_pickle=False) as file:
        return len(file["ends"])


def label(finder: MediaPipe, entry: Entry) -> None:
    """Writes the landmarks of a clip."""
    save_landmarks(entry.path, frontal(finder.find_in_space(in_margin(load_clip(entry).faces))))


def fit(data: Path, numbers: int) -> MotionSpace:
    """The space that the labelled clips of `train` span."""
    landmarks: list[tuple[str, NDArray[np.float32]]] = []
    for entry in entries(data, "train"):
        if landmarks_path(entry.path).exists():
            points = np.load(landmarks_path(entry.path))
            landmarks.append((entry.speaker, points[np.isfinite(points).all(axis=(1, 2))]))
    if not sum(len(points) for _, points in landmarks):
        raise NoData(f"{data}: no face was found in any clip of train, so there is no lip motion to fit")
    total = Counter[str]()
    for speaker, points in landmarks:
        total[speaker] += len(points)
    weights = np.concatenate([np.full(len(points), total[speaker] ** -0.5) for speaker, points in landmarks])
    return MotionSpace.fitted(np.concatenate([points for _, points in landmarks]), weights, numbers)


def run(options: argparse.Namespace) -> None:
    if options.processes < 1:
        raise BadValue(f"--processes {options.processes}: is a number of landmarkers, 1 or more")
    waiting = [
        entry
        for split in ("train", "seen", "test")
        if (options.data / split).is_dir()
        for entry in chosen(options.data, split, options.frames)
        if not landmarks_path(entry.path).exists()
    ]
    with ExitStack() as stack:
        finders = [
            stack.enter_context(MediaPipe(options.mediapipe_python, options.landmarker, WANTED))
            for _ in range(options.processes if waiting else 0)
        ]
        bar = tqdm(total=len(waiting), unit="clip", disable=None)

        def work(number: int, check: Callable[[], None]) -> None:
            for entry in waiting[number :: options.processes]:
                check()
                label(finders[number], entry)
                bar.update()

        beside([partial(work, number) for number in range(len(finders))], options.processes, "landmarks")
        bar.close()
    space = fit(options.data, options.numbers)
    space.save(options.data / SPACE)
    print(f"{len(waiting)} clips looked at; {options.data / SPACE} written")
    print("\n".join(_says(options.data, space)))


def _says(data: Path, space: MotionSpace) -> Iterator[str]:
    """How much of the landmarks of each split the motion keeps."""
    import torch

    for split in ("train", "seen", "test"):
        if not (data / split).is_dir():
            continue
        paths = [landmarks_path(entry.path) for entry in entries(data, split)]
        labelled = [np.load(path) for path in paths if path.exists()]
        if not labelled:
            continue
        points = torch.from_numpy(np.concatenate(labelled))
        known = points[points.isfinite().all(dim=2).all(dim=1)]
        left = (space.landmarks(space.motion(known)) - known).norm(dim=2).mean()
        yield (
            f"{split}: {len(labelled)} clips, {len(points)} frames, a face in {len(known) / len(points):.1%}; what"
            f" {space.numbers} numbers leave out is {100 * left:.2f} % of the distance between the eyes"
        )


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, help="prepared folder")
    parser.add_argument("--landmarker", type=reads, required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--mediapipe_python", type=reads, default=Path(sys.executable), help="who has mediapipe")
    parser.add_argument("--frames", type=int, default=2000, help="of each training speaker, at most")
    parser.add_argument("--numbers", type=int, default=16, help="of a frame's motion")
    parser.add_argument("--processes", type=int, default=2, help="landmarkers at work")
    run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(exit_code(main, stopped=GOES_ON))
