"""How much sooner several processes finish a list, and the memory they take: interleaved runs on this machine.

    python scripts/benchmark_processes.py [--processes 1 2 4] [--rounds 5] [--filelist LIST] [flags of generate.py]

Each run starts from nothing: no result is there, no detection is cached.  Its time is that of whole processes, from
start to end, loading included; each has one thread.  Seconds of a core say what was computed, whatever else ran on the
machine.  Without a list, eight short videos are made from the demo.  Results of all runs are compared, byte for byte.
For Linux and macOS.
"""

import argparse
import csv
import hashlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np

from core.errors import BadInput
from core.flags import Parser
from core.guard import reads
from core.program import exit_code
from guided_diffusion.engine.distributed import LAUNCHERS
from video import read_frames, write_video

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "scripts" / "demo"
VIDEOS, FRAMES = 8, 75  # of the list that is made where none is given
RSS = 1 if sys.platform == "darwin" else 1024  # bytes in what the system counts memory by
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
MEETING = ("MASTER_ADDR", "MASTER_PORT", *(name for names in LAUNCHERS for name in names))


@dataclass(frozen=True)
class Run:
    """One list made by some processes.

    seconds of the clock; work: seconds of a core that each took; memory: the most that each held, in bytes.
    """

    seconds: float
    work: tuple[float, ...]
    memory: tuple[int, ...]
    results: str


def run(count: int, flags: Sequence[str], folder: Path) -> Run:
    """Starts so many processes of generate_dist.py and waits for all.  BadInput with what they say if one fails."""
    begin = time.perf_counter()
    with (folder / "said").open("w+", encoding="utf-8") as errors:
        own = ["--sample_path", str(folder / "results"), "--no_cache"]
        command = [sys.executable, str(ROOT / "generate_dist.py"), *flags, *own]
        started = [subprocess.Popen(command, env=env, stdout=errors, stderr=errors) for env in environments(count)]
        try:
            used = [waited(process) for process in started]
        finally:
            for process in started:
                process.kill()  # does nothing to one that has ended
        seconds = time.perf_counter() - begin
        errors.seek(0)
        if any(process.returncode for process in started):
            raise BadInput(f"{count} processes could not make the list: {errors.read().strip().splitlines()[-1]}")
    work, memory = zip(*used, strict=True)
    return Run(seconds, work, memory, digest(folder / "results"))


def environments(count: int) -> list[dict[str, str]]:
    """What each of so many processes is told, as a launcher would."""
    own = {name: value for name, value in os.environ.items() if name not in MEETING} | THREADS
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(count)}
    return [own | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def waited(process: "subprocess.Popen[bytes]") -> tuple[float, int]:
    """Seconds of a core that a process took until its end, and the most memory that it held, bytes."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * RSS


def digest(results: Path) -> str:
    """One word for all videos of a folder: another one if a byte differs."""
    whole = hashlib.sha256()
    for path in sorted(results.glob("*.m*")):
        whole.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def make_list(folder: Path) -> Path:
    """Videos in which the demo's portrait drifts, each of which says the beginning of its words."""
    portrait = next(read_frames(DEMO / "portrait.jpg"))
    rows = [("video", "audio", "length")]
    for number in range(VIDEOS):
        drifting = (np.roll(portrait, number + k // 2, axis=1) for k in range(FRAMES))
        write_video(folder / f"{number}.mp4", drifting, Fraction(25))
        rows.append((f"{number}.mp4", str(DEMO / "speech.flac"), "shortest"))
    with (folder / "list.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "list.csv"


def table(runs: dict[int, list[Run]]) -> str:
    """Markdown.  Ratios are medians of those within a round, to the first number of processes."""
    first = next(iter(runs.values()))
    lines = [
        "| processes | seconds | times as fast | core seconds: busiest, all | peak MiB: largest, all |",
        "|---|---|---|---|---|",
    ]
    for count, own in runs.items():
        ratio = statistics.median(one.seconds / other.seconds for one, other in zip(first, own, strict=True))
        clock = statistics.median(r.seconds for r in own)
        busiest, work = (statistics.median(how(r.work) for r in own) for how in (max, sum))
        held, memory = (max(how(r.memory) for r in own) / 2**20 for how in (max, sum))
        lines.append(f"| {count} | {clock:.1f} | {ratio:.2f} | {busiest:.1f}, {work:.1f} | {held:.0f}, {memory:.0f} |")
    same = len({r.results for own in runs.values() for r in own}) == 1
    return "\n".join([*lines, "", "All results are the same, byte for byte." if same else "The results differ."])


def measure(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Prints the table."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds", flush=True)
    runs: dict[int, list[Run]] = {count: [] for count in options.processes}
    with tempfile.TemporaryDirectory() as folder:
        listing = options.filelist or make_list(Path(folder))
        for _ in range(options.rounds):
            for count, own in runs.items():
                with tempfile.TemporaryDirectory() as fresh:
                    own.append(run(count, ["--filelist", str(listing), *flags], Path(fresh)))
                print(f"{count}: {own[-1].seconds:.1f} s", file=sys.stderr, flush=True)
    print(table(runs))


def main(args: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, allow_abbrev=False)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--filelist", type=reads, metavar="LIST", help="a list as generate.py takes it")
    options, flags = parser.parse_known_args(args)
    if options.rounds < 1 or min(options.processes) < 1:
        parser.error("--rounds and --processes are at least 1")
    return exit_code(lambda: measure(options, flags))


if __name__ == "__main__":
    sys.exit(main())
