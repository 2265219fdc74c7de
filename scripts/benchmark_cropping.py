"""Milliseconds to cut a face out of a 1080p frame and to paste its mouth back, beside an earlier revision's.

    OMP_NUM_THREADS=1 python scripts/benchmark_cropping.py [--against 418bce3] [--picture FILE] [--runs 15]

On one thread, medians of interleaved runs.  The difference is that of the results, in levels of 255: of the whole crop,
and of what the paste changes.  What is pasted back is the crop, blurred by a pixel.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import cv2
import numpy as np

from core.arrays import Picture
from core.errors import BadValue, NotFound
from core.flags import Parser
from core.guard import reads
from core.program import exit_code
from face_detection import Box, cropping

SIDES = (100, 224, 300.4, 448, 900)  # heights of the face in the frame, pixels
SIZES = (128, 224)  # of the crop
WIDTH, HEIGHT = 1920, 1080


def earlier(revision: str) -> ModuleType:
    """face_detection/cropping.py as it was.  Raises BadInput where git does not know the revision."""
    command = ["git", "show", f"{revision}:face_detection/cropping.py"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if shown.returncode:
        raise NotFound(f"--against {revision}: git has no such revision of face_detection/cropping.py; name another")
    module = sys.modules["earlier"] = ModuleType("earlier")
    exec(compile(shown.stdout, "earlier", "exec"), vars(module))
    return module


def median_milliseconds(ways: Sequence[Callable[[], object]], runs: int) -> list[float]:
    """Of each way, interleaved, after one run to warm up."""
    spent: list[list[float]] = [[] for _ in ways]
    for run in range(runs + 1):
        for place, way in enumerate(ways):
            start = time.perf_counter()
            way()
            if run:
                spent[place].append(time.perf_counter() - start)
    return [1000 * statistics.median(times) for times in spent]


def row(what: str, side: float, size: int, ways: Sequence[Callable[[], object]], changed: object, runs: int) -> str:
    """A line of the table; `changed` says which part of what the two ways make is compared."""
    one, other = (np.asarray(way(), np.int16) for way in ways)
    difference = np.abs(one - other)
    old, new = median_milliseconds(ways, runs)
    figures = f"{old:.2f} | {new:.2f} | {old / new:.1f} | {difference[changed].mean():.2f} | {difference.max()}"
    return f"| {what} | {side:g} | {size} | {figures} |"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--against", default="418bce3", help="revision to compare with (%(default)s)")
    parser.add_argument("--picture", type=reads, default=ROOT / "scripts" / "demo" / "portrait.jpg", help="a face")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    picture = cv2.imread(str(arguments.picture), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadValue(f"--picture {arguments.picture}: no picture that OpenCV can read; name another")
    cv2.setNumThreads(1)
    frame: Picture = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)
    old = earlier(arguments.against)
    print(f"| | face, px | crop, px | {arguments.against}, ms | now, ms | times | mean difference | largest |")
    print("|---|---|---|---|---|---|---|---|")
    for side in SIDES:
        box = Box.centred(WIDTH / 2 + 0.3, HEIGHT / 2 + 0.7, side * 124 / 158, side)
        for size in SIZES:
            after: Picture = cv2.GaussianBlur(cropping.cut(frame, box, size), (0, 0), 1).astype(np.uint8)
            mask = cropping.jaw_mask(size)
            ways: list[Callable[[], Picture]] = [partial(m.cut, frame, box, size) for m in (old, cropping)]
            print(row("cut", side, size, ways, ..., arguments.runs), flush=True)
            ways = [partial(m.paste, frame, after, box, mask) for m in (old, cropping)]
            print(row("paste", side, size, ways, (ways[0]() != frame).any(axis=2), arguments.runs), flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
