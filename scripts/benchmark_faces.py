"""What the face of one frame costs beside the network: milliseconds of one core, step by step.

    OMP_NUM_THREADS=1 python scripts/benchmark_faces.py [--video V] [--frames 24] [--rounds 5] [--face_detector haar]

Seconds are those of this thread at work, whatever else the machine does; of each step the least of some rounds over
all frames.  Without a video the portrait of the demo moves about in a 1080p frame.  What a network would draw is the
face itself, drawn softly and a little beside its place.
"""

import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import cv2
import numpy as np
import torch

from core.arrays import Picture
from core.errors import NoFace
from core.flags import Parser
from core.guard import guard, reads
from core.program import exit_code
from face_detection import MouthDetail, align, cut, find_points, load_detector, track_face, with_detail
from face_detection.landmarks import Landmarks
from lipsync.rendering.compositor import composite
from lipsync.rendering.mouth_exemplars import LARGEST
from lipsync.rendering.registration import correction
from lipsync.settings import Settings
from video import read_frames

WIDTH, HEIGHT, SIZE = 1920, 1080, 128  # of a frame; pixels of a side of what the network draws
SOFT, BESIDE = 1.0, 1.5                # deviation of the blur of what is drawn, and how far it lies off, its pixels


def moving(count: int) -> list[Picture]:
    """The portrait of the demo, a few pixels to and fro."""
    portrait = next(iter(read_frames(ROOT / "scripts" / "demo" / "portrait.jpg")))
    scale = HEIGHT / len(portrait)
    frames = []
    for k in range(count):
        x, y = 20 * np.sin(k / 5) + (WIDTH - scale * portrait.shape[1]) / 2, 10 * np.sin(k / 3)
        place = np.array([[scale, 0, x], [0, scale, y]])
        moved = cv2.warpAffine(portrait, place, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        frames.append(np.asarray(moved, np.uint8))
    return frames


def least(work: Callable[[int], object], count: int, rounds: int) -> float:
    """Milliseconds of this thread a frame."""
    spent = []
    for _ in range(rounds):
        begin = time.thread_time()
        for k in range(count):
            work(k)
        spent.append(time.thread_time() - begin)
    return 1000 * min(spent) / count


def steps(frames: Sequence[Picture], detector: str, rounds: int) -> dict[str, float]:
    """Each step's milliseconds a frame.  NoFace where a frame has none."""
    track, finder, settings = track_face(iter(frames), load_detector(detector)), Landmarks(), Settings()
    boxes = [box for k in range(len(frames)) if (box := track.box(k)) is not None]
    if len(boxes) < len(frames):
        raise NoFace(f"{len(frames) - len(boxes)} of {len(frames)} frames show no face; pass another --video")
    times = {"points": least(lambda k: finder.find(frames[k], boxes[k]), len(frames), rounds)}
    track = align(track, find_points(track, enumerate(frames), finder), 1.0)
    boxes = [box for k in range(len(frames)) if (box := track.box(k)) is not None]
    faces = [cut(frame, box, SIZE) for frame, box in zip(frames, boxes, strict=True)]
    times["cut"] = least(lambda k: cut(frames[k], boxes[k], SIZE), len(frames), rounds)
    beside = np.array([[1, 0, 0], [0, 1, BESIDE]])
    drawn = [
        np.asarray(cv2.warpAffine(cv2.GaussianBlur(face, (0, 0), SOFT), beside, (SIZE, SIZE), borderMode=1), np.uint8)
        for face in faces
    ]
    correct = correction(np.stack(faces), np.stack(drawn))
    new = [correct(face) for face in drawn]
    times["registration"] = least(lambda k: correct(drawn[k]), len(frames), rounds)
    factor = int(np.clip(round(boxes[0].width / SIZE), 1, LARGEST))
    mouths = MouthDetail(np.stack([cut(f, b, factor * SIZE) for f, b in zip(frames, boxes, strict=True)]), SIZE)
    times["mouth detail"] = least(lambda k: mouths.over(new[k]), len(frames), rounds)

    def layer(k: int, chosen: Settings) -> object:
        return composite(frames[k], boxes[k], faces[k], new[k], 1.0, chosen, mouths)

    layers = [composite(f, b, face, n, 1.0, settings, mouths)
              for f, b, face, n in zip(frames, boxes, faces, new, strict=True)]  # fmt: skip
    times["skin detail"] = least(lambda k: with_detail(layers[k], frames[k], boxes[k].width), len(frames), rounds)
    whole = least(lambda k: layer(k, settings), len(frames), rounds)
    times["mask and layer"] = whole - times["mouth detail"] - times["skin detail"]
    times["paste"] = least(lambda k: layers[k].over(frames[k]), len(frames), rounds)
    print(f"faces {boxes[0].width:.0f} px wide, in frames {frames[0].shape[1]} x {frames[0].shape[0]}\n")
    return times


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--video", type=reads, help="a face, in all of its first frames")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--face_detector", default="haar")
    options = parser.parse_args()
    guard(parser, options)
    if options.frames < 8 or options.rounds < 1:
        parser.error("--frames is at least 8, --rounds at least 1")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    shown = moving(options.frames) if options.video is None else read_frames(options.video)
    frames = list(islice(shown, options.frames))
    with torch.inference_mode():
        times = steps(frames, options.face_detector, options.rounds)
    print("| step | ms of a core |\n|---|---|")
    for name, value in (times | {"all": sum(times.values())}).items():
        print(f"| {name} | {value:.2f} |")


if __name__ == "__main__":
    sys.exit(exit_code(main))
