"""The process that computes:  python -m web.worker --model M [--device D] [--threads N].  The server starts it.

It reads an order a line from standard input, as JSON, and answers by lines on standard output:

    {"stage": "speak", "done": 12, "of": 250}      how far it is
    {"note": "..."}                                what the program would say on standard error
    {"ready": {...}}, {"packet": {...}}            of a stream (web/speaking.py)
    {"answer": {...}} | {"error": "...", "exit_code": 3}      its last word on an order

Lines without a kind are for the stream that is being made: its sound, its end.

A problem that the user can act on is an answer; a bug ends the process with a traceback.  So does the end of standard
input, at once: a worker never outlives its server, whatever ended that.
"""

import io
import json
import os
import queue
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.atomic import save_atomically
from core.errors import BadInput
from core.flags import Parser
from core.guard import reads
from core.lock import acquire, release
from core.program import said
from core.progress import say_anew, telling
from lipsync.settings import LOADED, Settings
from lipsync.threads import use_threads
from web.files import MOTION, REPORT
from web.networks import add_networks, load_networks, networks_of
from web.order import STREAM, Order
from web.speaking import Speaking

if TYPE_CHECKING:
    from lipsync import LipSync

Answer = Mapping[str, Any]
WAITS = 300  # tenths of a second
PAPER = 255  # what a contact sheet is drawn on
TOLD = 200  # times at most that progress is said in each stage


class Desk:
    """Does what orders say.  Torch and the model are loaded by the first order that needs them."""

    def __init__(
        self, model: Path | None, device: str, threads: int | None, say: Callable[[Answer], None],
        networks: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """networks: settings that name networks of whoever runs the server, for all orders."""
        self._model, self._device, self._threads, self._say = model, device, threads, say
        self._networks = dict(networks or {})
        self._loaded: tuple[object, LipSync] | None = None
        self._works = {
            "check": self._check, "file": self._file, "video": self._video, "preview": self._preview,
            "faces": self._faces, "stream": self._stream,
        }  # fmt: skip
        self._speaking = Speaking(say)

    def do(self, order: Mapping[str, Any]) -> Answer:
        """What an order comes to: {"answer": ...} or {"error": ..., "exit_code": ...}.  A bug raises."""
        say_anew()
        try:
            return {"answer": self._works[order["kind"]](order)}
        except BaseException as problem:
            known = said(problem)
            if known is None:
                raise
            return {"error": str(known), "exit_code": known.exit_code}

    def _check(self, order: Mapping[str, Any]) -> Answer:
        """Loads all that this worker was told to work with, and keeps the model.  BadInput for what cannot be."""
        if self._threads is not None:
            use_threads(self._threads)
        chosen = Settings(device=self._device, **self._networks)
        self._speaker(chosen)
        load_networks(self._networks, "cpu")
        return {}

    def _file(self, order: Mapping[str, Any]) -> Answer:
        """What kind of file an upload is, and how long.  BadInput if it is none that can be used, or is too long."""
        from audio import SAMPLE_RATE, sound_blocks
        from video import probe

        path, limit = Path(order["path"]), float(order["seconds"])
        if order["shows"]:
            info = probe(path)
            about = {"still": info.still, "height": info.height, "width": info.width, "seconds": float(info.seconds)}
        else:
            samples = 0
            for block in sound_blocks(path):
                samples += len(block)
                if samples > limit * SAMPLE_RATE:
                    break
            about = {"seconds": samples / SAMPLE_RATE}
        if float(about["seconds"]) > limit:
            raise BadInput(f"{path}: lasts longer than {limit:g} s, which this server allows; send a shorter one")
        return about

    def _video(self, order: Mapping[str, Any]) -> Answer:
        chosen, folder = self._chosen(order), Path(order["folder"])
        changes = {name: value for name, value in vars(chosen).items() if name not in LOADED}
        files = {name: Path(path) for name, path in order["files"].items()}
        result = folder / f"result{order['suffix']}"
        with _left_by_others(folder):
            model = self._speaker(chosen)
            report = model(
                files["video"], files["audio"], result, progress=self._progress,
                motion_out=folder / MOTION if model.predicts_motion else None,
                style_video=files.get("style_video"), mux_audio=files.get("mux_audio"), **changes,
            )  # fmt: skip
        save_atomically(folder / REPORT, lambda path: path.write_text(json.dumps(asdict(report)), encoding="utf-8"))
        return asdict(report)

    def _preview(self, order: Mapping[str, Any]) -> Answer:
        from lipsync.inspect.preview import preview, write_preview
        from lipsync.jobs.job import Job
        from systems.registry import DEFAULT_CHECKPOINT

        files = {name: Path(path) for name, path in order["files"].items()}
        result = Path(order["folder"]) / "result.png"
        job = Job(files["video"], files["audio"], result, heard=files.get("mux_audio"), style=files.get("style_video"))
        with telling(self._progress):
            picture = preview(self._model or DEFAULT_CHECKPOINT, self._chosen(order), job, order["moment"])
        write_preview(result, picture)
        return {}

    def _faces(self, order: Mapping[str, Any]) -> Answer:
        import numpy as np

        from lipsync.inspect.preview import GAP, LABEL, contact_sheet
        from video import write_picture

        with telling(self._progress):
            sheet, lines = contact_sheet(Path(order["files"]["video"]), self._chosen(order))
        for number, row in enumerate(np.split(sheet, len(lines))):
            seen = row[GAP:-GAP, LABEL:]
            width = int(np.flatnonzero((seen < PAPER).any((0, 2)))[-1]) + 1  # of those who are seen but once, less
            write_picture(Path(order["folder"]) / f"face{number}.png", seen[:, :width])
        named = [line.split("  ", 1) for line in lines]
        return {"faces": [{"face": face, "when": when.strip()} for face, when in named]}

    def _stream(self, order: Mapping[str, Any]) -> Answer:
        self._speaking.begin(order["stream"])
        chosen = self._chosen(order)
        changes = {name: value for name, value in vars(chosen).items() if name not in LOADED}
        with telling(self._progress):
            stream = self._speaker(chosen).stream(
                order["files"]["video"], style_video=order["files"].get("style_video"), lookahead=order["lookahead"],
                **changes,
            )  # fmt: skip
        return self._speaking.answer(stream)

    def hear(self, message: Mapping[str, Any]) -> None:
        """What comes for the stream that is being made; called by another thread."""
        self._speaking.hear(message)

    def _chosen(self, order: Mapping[str, Any]) -> Settings:
        """The settings of an order, on this worker's device."""
        if self._threads is not None:
            use_threads(self._threads)
        asked = Order(order["kind"], order["files"], order["given"])
        without = asked.without | ({"voice_separator"} if asked.kind == STREAM else set())  # which hears whole sounds
        networks = {name: value for name, value in self._networks.items() if name not in without}
        return replace(asked.settings, device=self._device, cache=Path(order["cache"]), **networks)

    def _speaker(self, chosen: Settings) -> "LipSync":
        """A loaded model: the one of the last order, if it samples in the way that this one asks for."""
        from lipsync import LipSync

        key = {name: getattr(chosen, name) for name in LOADED}
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # free its memory first
            self._loaded = key, LipSync.from_pretrained(self._model, **vars(chosen))
        return self._loaded[1]

    def _progress(self, stage: str, done: int, of: int) -> None:
        if done % max(1, of // TOLD) == 0 or done == of:
            self._say({"stage": stage, "done": done, "of": of})


@contextmanager
def _left_by_others(folder: Path) -> Iterator[None]:
    """Holds a job's folder; a worker that lost its server may take a moment to end, and is waited for."""
    for _ in range(WAITS):
        try:
            handle = acquire(folder / "lock", folder)
            break
        except BadInput:
            time.sleep(0.1)
    else:
        raise BadInput("another worker is making this; try again in a minute")
    try:
        yield
    finally:
        release(folder / "lock", handle)


class Notes(io.TextIOBase):
    """A stream whose lines are notes."""

    def __init__(self, say: Callable[[Answer], None]) -> None:
        self._say, self._begun = say, ""

    def write(self, text: str) -> int:
        """As of any text stream."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(None, map(str.strip, lines)):
            self._say({"note": line})
        return len(text)


def main(args: Sequence[str] | None = None) -> None:
    """Answers orders until standard input ends."""
    parser = Parser("Computes what the server asks for.", prog="python -m web.worker")
    parser.add_argument("--model", type=reads)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    add_networks(parser)
    options = parser.parse_args(args)
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    warnings.showwarning = lambda *told, **_: print(*told[:2], file=sys.__stderr__)
    lock, orders = threading.Lock(), queue.Queue[Mapping[str, Any]]()

    def say(answer: Answer) -> None:
        with lock:
            channel.write(json.dumps(answer) + "\n")
            channel.flush()

    desk = Desk(options.model, options.device, options.threads, say, networks_of(options))

    def read() -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if "kind" in message:
                orders.put(message)
            else:
                desk.hear(message)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        order = orders.get()
        with redirect_stderr(Notes(say)):
            answer = desk.do(order)
        say(answer)


if __name__ == "__main__":
    main()
