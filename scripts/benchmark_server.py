"""Many clients at once, and kill -9 in between: what a server holds, and that no job is lost or made twice.

    python scripts/benchmark_server.py                        50 jobs from 10 clients, killed twice
    python scripts/benchmark_server.py --model_path checkpoints/style-small --words 0.4

It starts a server of its own on loopback, in a temporary folder, with a portrait that says other words in each job.
"""

import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np

from core.flags import Parser
from core.guard import guard, reads
from core.program import exit_code
from video import probe
from web.client import Client, Failed
from web.store import Store

PORTRAIT = ROOT / "scripts" / "demo" / "portrait.jpg"
SETTINGS = {"face_detector": "haar", "quality": "fast"}


@dataclass
class Figures:
    """What was seen.  seconds in all; submitting and asking: seconds of each request."""

    jobs: int
    clients: int
    kills: int = 0
    seconds: float = 0.0
    submitting: list[float] = field(default_factory=list)
    asking: list[float] = field(default_factory=list)
    full: int = 0
    lost: int = 0
    twice: int = 0

    def table(self) -> str:
        """For a person."""
        rows = {
            "jobs": f"{self.jobs} from {self.clients} clients, {self.kills} times kill -9",
            "all done after": f"{self.seconds:.1f} s, {60 * self.jobs / self.seconds:.0f} a minute",
            "to submit one": _spread(self.submitting),
            "to ask for a status": _spread(self.asking),
            "answered 429": f"{self.full} times",
            "lost, made twice": f"{self.lost}, {self.twice}",
        }
        return "\n".join(f"{name:<20} {value}" for name, value in rows.items())


class Load:
    """A server, and clients that each submit their share of the jobs, wait, and fetch what was made."""

    def __init__(self, folder: Path, jobs: int, clients: int, *, model: Path | None, words: float, queue: int) -> None:
        self._folder, self._words, self.figures = folder, words, Figures(jobs, clients)
        model_flag = [] if model is None else ["--model_path", str(model)]
        self._command = [
            sys.executable, "-m", "web", "--api", "--data", str(folder / "data"), "--threads", "1", "--max_queue",
            str(queue), *model_flag,
        ]  # fmt: skip
        self._port, self._lock, self._over = 0, threading.Lock(), threading.Event()
        self._first_seen: dict[str, tuple[int, int]] = {}
        self._start()

    def run(self, kills: int) -> Figures:
        """Everything; kills: how often the server is ended by kill -9, evenly while jobs are done."""
        begin = time.monotonic()
        killer = threading.Thread(target=self._kill, args=(kills,))
        killer.start()
        try:
            with ThreadPoolExecutor(self.figures.clients) as pool:
                list(pool.map(self._client, range(self.figures.clients)))
        finally:
            self.figures.seconds = time.monotonic() - begin
            self._over.set()
            killer.join()
            self._end(signal.SIGTERM)
        self._account()
        return self.figures

    def _client(self, number: int) -> None:
        client = Client(f"http://127.0.0.1:{self._port}")
        mine = range(number, self.figures.jobs, self.figures.clients)
        sounds = [_words(self._folder / f"words{job}.wav", self._words, 150.0 + job) for job in mine]
        names = [self._submit(client, sound) for sound in sounds]
        for name, sound in zip(names, sounds, strict=True):
            while True:
                begin = time.monotonic()
                status = client.status(name)
                self._note(self.figures.asking, time.monotonic() - begin)
                if status["status"] == "done" or status["problem"]:
                    break
                time.sleep(0.2)
            if status["problem"]:
                continue
            client.download(name, self._folder / f"{name}.mp4")
            with self._lock:
                self._first_seen[name] = self._stamp(name)
            self._submit(client, sound)  # the same again: there is nothing more to do

    def _submit(self, client: Client, sound: Path) -> str:
        while True:
            begin = time.monotonic()
            try:
                name = str(client._json("POST", "/jobs", {"video": PORTRAIT, "audio": sound}, SETTINGS)["id"])
            except Failed as failed:
                if failed.status != 429:
                    raise
                self.figures.full += 1
                time.sleep(min(failed.retry or 1.0, 2.0))
            else:
                self._note(self.figures.submitting, time.monotonic() - begin)
                return name

    def _kill(self, times: int) -> None:
        for kill in range(1, times + 1):
            while len(self._first_seen) < kill * self.figures.jobs / (times + 1):
                if self._over.wait(0.05):
                    return
            self._end(signal.SIGKILL)
            self.figures.kills += 1
            self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [*self._command, "--port", str(self._port)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(self._folder / "cache")},
        )  # fmt: skip
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline().rpartition(":")[2].partition("/")[0])

    def _end(self, number: int) -> None:
        self._process.send_signal(number)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _account(self) -> None:
        """A job is lost if it is not there, not done, or its file no video; made twice if its file changed later."""
        store = Store(self._folder / "data" / "queue.sqlite")
        done = {job.id for job in store.jobs(status="done")}
        store.close()
        fetched = {name for name in self._first_seen if probe(self._folder / f"{name}.mp4").frames > 0}
        self.figures.lost = self.figures.jobs - len(done & fetched)
        self.figures.twice = sum(self._stamp(name) != stamp for name, stamp in self._first_seen.items())
        self.figures.twice += max(0, len(done) - self.figures.jobs)

    def _stamp(self, name: str) -> tuple[int, int]:
        status = (self._folder / "data" / "jobs" / name / "result.mp4").stat()
        return status.st_ino, status.st_mtime_ns

    def _note(self, figures: list[float], seconds: float) -> None:
        with self._lock:
            figures.append(seconds)


def _words(path: Path, seconds: float, pitch: float) -> Path:
    """A hum that swells like syllables, 16 kHz."""
    t = np.arange(round(seconds * 16000)) / 16000
    samples = np.sin(2 * np.pi * pitch * t) * (0.5 + 0.45 * np.sin(8 * np.pi * t))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 20000).astype("<i2").tobytes())
    return path


def _spread(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds) or [math.nan]
    half, most = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)))]
    return f"{1000 * half:.0f} ms (median), {1000 * most:.0f} ms (95 %), of {len(seconds)}"


def main() -> None:
    """Prints the figures."""
    parser = Parser(__doc__)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--queue", type=int, default=20, help="jobs that may wait")
    parser.add_argument("--words", type=float, default=0.4, help="seconds that each job says")
    parser.add_argument("--model_path", type=reads, help="checkpoint (the one that ships)")
    options = parser.parse_args()
    guard(parser, options)
    with tempfile.TemporaryDirectory() as folder:
        load = Load(
            Path(folder), options.jobs, options.clients, model=options.model_path, words=options.words,
            queue=options.queue,
        )  # fmt: skip
        print(load.run(options.kills).table())


if __name__ == "__main__":
    sys.exit(exit_code(main))
