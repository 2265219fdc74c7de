"""How quickly training windows come out of mp4 files, and that memory does not grow: ratios in one run.

    python scripts/benchmark_loader.py [--data FOLDER] [--windows 200] [--samples 2000]

Read at random with 0, 1 and 2 workers, against decoding every file whole.  Without --data, clips shaped like
VoxCeleb2's are made from the demo: 8 seconds of 224x224 at 25 frames a second, a key frame every 250.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import cv2
import numpy as np
from numpy.typing import NDArray

from audio import Mel, read_mel
from core.errors import BadValue
from core.flags import Parser
from core.guard import reads
from core.program import exit_code
from dataset import ClipBatch, Footage, VideoClip, WindowConfig, Windows, corpus
from face_detection import cut
from guided_diffusion.engine.loading import batches_of
from video import read_frames, write_video

DEMO = ROOT / "scripts" / "demo"
SIZE = 128
FILES = 64  # more than any process keeps open
BATCH = 4


@dataclass(frozen=True)
class Whole:
    """A clip that is decoded from end to end for whatever is asked of it."""

    clip: VideoClip
    amount: None = None

    @property
    def name(self) -> str:
        return self.clip.name

    @property
    def speaker(self) -> str:
        return self.clip.speaker

    def __len__(self) -> int:
        return len(self._faces)

    @property
    def fps(self) -> Fraction:
        return self.clip.fps

    @cached_property
    def mel(self) -> Mel:
        return read_mel(self.clip.path)

    @cached_property
    def _faces(self) -> NDArray[np.uint8]:
        return np.stack([cut(frame, self.clip.box, self.clip.size) for frame in read_frames(self.clip.path)])

    def pictures(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        return self._faces[list(numbers)]


class WholeFiles(Sequence[Footage]):
    """The same clips, decoded whole and anew whenever one is drawn."""

    def __init__(self, clips: Sequence[VideoClip]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: int) -> Whole:  # type: ignore[override]
        return Whole(self.clips[place])


def make_clips(folder: Path) -> Path:
    """A folder shaped like VoxCeleb2 of one drifting portrait that has the demo's sound."""
    picture = cv2.imread(str(DEMO / "portrait.jpg"))
    assert picture is not None
    portrait = cv2.resize(picture[..., ::-1], (272, 272), interpolation=cv2.INTER_AREA)
    frames = (portrait[24:248, k // 5 : k // 5 + 224] for k in range(200))
    video = folder / "made.mp4"
    write_video(video, frames, Fraction(25), sound=DEMO / "speech.flac", crf=23)
    for number in range(FILES):
        path = folder / "data" / f"id{number:05d}" / "video" / "00001.mp4"
        path.parent.mkdir(parents=True)
        path.write_bytes(video.read_bytes())
    return folder / "data"


def batches(clips: Sequence[Footage], workers: int) -> Iterator[ClipBatch]:
    """As systems.training draws them: five frames and a reference."""
    return batches_of(Windows(clips, WindowConfig(frames=5), batch=BATCH, seed=0), range(10**6), workers)


def clips_per_second(clips: Sequence[Footage], workers: int, count: int) -> float:
    """Windows per second of wall-clock time, the first batches (imports, starting workers) not counted."""
    drawn = batches(clips, workers)
    for _ in range(1 + workers):
        next(drawn)
    begin = time.perf_counter()
    for _ in islice(drawn, count // BATCH):
        pass
    return count // BATCH * BATCH / (time.perf_counter() - begin)


def memory() -> float:
    """What this process has in memory now, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def show_memory(clips: Sequence[Footage], samples: int) -> None:
    """Of this process, ten times over so many windows."""
    drawn = batches(clips, 0)
    figures = []
    for _ in range(10):
        for _ in islice(drawn, samples // 10 // BATCH):
            pass
        figures.append(f"{memory():.0f}")
    print(f"\nMiB in memory, after each tenth of {samples} windows: {', '.join(figures)}")


def table(clips: Sequence[VideoClip], count: int) -> None:
    """Prints how quickly windows come."""
    whole = clips_per_second(WholeFiles(clips), 0, max(count // 8, BATCH))
    ways = {f"at random, {workers} workers": clips_per_second(clips, workers, count) for workers in (0, 1, 2)}
    print("| read | windows/s | against whole files |\n|---|---|---|")
    for name, rate in {"whole files, 0 workers": whole, **ways}.items():
        print(f"| {name} | {rate:.1f} | {rate / whole:.1f}x |")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, help="VoxCeleb2 or LRW; made from the demo if left out")
    parser.add_argument("--windows", type=int, default=200, help="windows timed for each way (default 200)")
    parser.add_argument("--samples", type=int, default=2000, help="windows over which memory is watched (default 2000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = corpus(options.data or make_clips(Path(folder)), SIZE)["train"]
        if not isinstance(clips[0], VideoClip):
            raise BadValue(f"--data {options.data}: is prepared already; give a folder of mp4 files")
        print(f"{len(clips)} clips, the first of {len(clips[0])} frames\n")
        table(clips, options.windows)  # type: ignore[arg-type]
        show_memory(clips, options.samples)


if __name__ == "__main__":
    sys.exit(exit_code(main))
