"""The worker processes of a server, and the threads that hand them jobs.

    Process     one `python -m web.worker`; it can be ended at any moment, and the next order starts a new one
    Crew        one for each device that makes videos, one for previews and faces, one that looks at uploads
"""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import LipSyncError, OutOfMemory
from core.paths import ROOT
from web.files import Files
from web.problems import Refused, told
from web.store import Store, StoredJob

Heard = Callable[[Mapping[str, Any]], None]
WAITS = 0.2  # seconds between two looks whether a device is free


class Gone(Exception):  # noqa: N818
    """A worker process ended without an answer; `code` as of subprocess, negative for a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a worker ended with code {code}")
        self.code = code


class Process:
    """One worker process, started by the first order."""

    def __init__(self, flags: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "web.worker", *flags]
        self._lock, self._telling = threading.Lock(), threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = self._asked = False

    @property
    def alive(self) -> bool:
        """Whether a process is there; one that was never needed, or was ended, is not."""
        process = self._process
        return process is not None and process.poll() is None

    def ask(self, order: Mapping[str, Any], heard: Heard = lambda _: None) -> Mapping[str, Any]:
        """The answer to an order; heard: told of everything before.  Gone if the process ends first."""
        self._asked = True
        return self.answer(self.send(order), heard)

    def send(self, order: Mapping[str, Any]) -> "subprocess.Popen[str]":
        """Hands an order over; the process that is to `answer` it, before another order."""
        process = self._started()
        assert process.stdin is not None
        with suppress(OSError):  # it ended: told by its output
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        return process

    def answer(self, process: "subprocess.Popen[str]", heard: Heard = lambda _: None) -> Mapping[str, Any]:
        """The answer to what was sent, as of `ask`."""
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = json.loads(line)
                if "answer" in said or "error" in said:
                    return dict(said)
                heard(said)
        finally:
            self._asked = False
        raise Gone(process.wait())

    def tell(self, message: Mapping[str, Any]) -> None:
        """Something for the order that is being answered; nothing happens if it was answered meanwhile."""
        process = self._process
        if process is not None and process.stdin is not None:
            with self._telling, suppress(OSError, ValueError):  # it ended: told by its output
                process.stdin.write(json.dumps(message) + "\n")
                process.stdin.flush()

    def end(self, *, for_good: bool = False) -> None:
        """Ends the process now, whatever it does; for_good: no other is started."""
        with self._lock:
            self._closed = self._closed or for_good
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                if not self._asked:
                    self._close()

    def _started(self) -> "subprocess.Popen[str]":
        with self._lock:
            if self._closed:
                raise Gone(0)
            if self._process is None or self._process.poll() is not None:
                self._close()
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=ROOT,
                    start_new_session=True,  # Ctrl-C is for the server, which ends this itself
                )  # fmt: skip
            return self._process

    def _close(self) -> None:
        """Both ends of an ended process."""
        for stream in () if self._process is None else (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


@dataclass
class Running:
    """What is being made just now: how far it is, what was said, and whether somebody wants it no longer."""

    process: Process
    progress: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    unwanted: bool = False

    def hear(self, said: Mapping[str, Any]) -> None:
        """Takes a line of the worker down."""
        if "note" in said:
            self.notes.append(str(said["note"]))
        else:
            self.progress = {name: said[name] for name in ("stage", "done", "of")}


class Crew:
    """Takes jobs out of the store, and brings what became of them back."""

    def __init__(self, store: Store, files: Files, devices: Sequence[str], flags: Sequence[str]) -> None:
        self._store, self._files = store, files
        self._wake, self._ending = threading.Condition(), False
        self._running: dict[str, Running] = {}
        self._streaming: set[Process] = set()
        self._looks_at_files, self._file_lock = Process(flags), threading.Lock()
        self.processes = {f"video on {device}": Process([*flags, "--device", device]) for device in devices}
        self.processes["previews"] = Process([*flags, "--device", devices[0]])
        self.seconds: dict[tuple[str, str], float] = {}
        self.finished: dict[tuple[str, str], int] = {}
        self.restarts = 0
        self._threads = [
            threading.Thread(
                target=self._work, args=(process, ("preview", "faces") if name == "previews" else ("video",)), name=name
            )
            for name, process in self.processes.items()
        ]

    def check(self) -> None:
        """Each device's worker loads the model and what else it is to work with, and keeps it for its first job.

        Raises what a worker says that cannot be, OutOfMemory if a signal ended it; then all processes are ended.
        """
        try:
            for process, begun in [(process, process.send({"kind": "check"})) for process in self._makers]:
                answer = process.answer(begun, lambda said: print(said.get("note", ""), file=sys.stderr))
                if "error" in answer:
                    problem = LipSyncError(str(answer["error"]))
                    problem.exit_code = int(answer["exit_code"])
                    raise problem
        except BaseException as problem:
            for process in self._makers:
                process.end(for_good=True)
            if isinstance(problem, Gone) and problem.code < 0:
                raise OutOfMemory(
                    f"signal {-problem.code} ended a worker that loaded the model; close other programs for its memory"
                ) from problem
            raise

    @property
    def _makers(self) -> list[Process]:
        """The processes that make videos, one for each device."""
        return [process for name, process in self.processes.items() if name != "previews"]

    def start(self) -> None:
        """Jobs that ran when the last server ended wait again, unless their result is there; then work begins."""
        self._store.fail_older()
        for job in self._store.jobs(status="running"):
            report = self._files.finished(job)
            if report is None:
                self._store.leave(job.id)
            else:
                self._store.finish(job.id, report=report)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends all processes; what they made waits for the next start, with the chunks that were finished."""
        with self._wake:
            self._ending = True
            self._wake.notify_all()
        for process in (*self.processes.values(), self._looks_at_files):
            process.end(for_good=True)
        for thread in self._threads:
            thread.join()

    @property
    def whole(self) -> bool:
        """Whether everybody who takes jobs is there."""
        return all(thread.is_alive() for thread in self._threads)

    def wake(self) -> None:
        """There is a new job."""
        with self._wake:
            self._wake.notify_all()

    def running(self, name: str) -> Running | None:
        """How far a job is, if it is being made just now."""
        return self._running.get(name)

    def cancel(self, job: StoredJob) -> bool:
        """Ends a job that waits or is being made; False if it was over already."""
        with self._wake:
            changed = self._store.cancel(job.id)
            running = self._running.get(job.id)
            if changed and running is not None:
                running.unwanted = True
                running.process.end()  # under the lock: a moment later it may make another job
        if changed:
            self._count("cancelled", job.kind, 0.0)
        return changed

    @contextmanager
    def device(self, wanted: Callable[[], bool], told: Callable[[], object]) -> Iterator[Process]:
        """A device's worker for a stream; its jobs wait until this is left.

        One that makes a video finishes that first; meanwhile `wanted` is asked whether anybody still waits, and `told`
        is called once.  Refused (503) if a stream has every device, or nobody waits any more.
        """
        with self._wake:
            free = [one for one in self._makers if one not in self._streaming]
            if not free:
                raise Refused(503, "a stream takes the whole device, and somebody has one open; try again when it has"
                                   " ended", retry=30)  # fmt: skip
            process = min(free, key=self._makes)
            self._streaming.add(process)
            if self._makes(process):
                told()
        try:
            with self._wake:
                while self._makes(process) and not self._ending and wanted():
                    self._wake.wait(WAITS)
            if self._ending or not wanted():
                raise Refused(503, "the stream ended before it began; try again", retry=1)
            yield process
        finally:
            with self._wake:
                self._streaming.discard(process)
                self._wake.notify_all()

    def _makes(self, process: Process) -> bool:
        """Whether a process makes a job just now."""
        return any(running.process is process for running in self._running.values())

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._streaming)

    def look_at(self, path: Path, *, shows: bool, seconds: float) -> Mapping[str, Any]:
        """What an upload is (see `web.worker`).  Refused if it cannot be used."""
        with self._file_lock:
            try:
                answer = self._looks_at_files.ask(
                    {"kind": "file", "path": str(path), "shows": shows, "seconds": seconds}
                )
            except Gone as gone:
                raise Refused(400, "the file breaks the program that reads it; export it again") from gone
        if "error" in answer:
            raise Refused(400, str(answer["error"]))
        return dict(answer["answer"])

    def _work(self, process: Process, kinds: Sequence[str]) -> None:
        while True:
            with self._wake:
                taken = self._ending or process in self._streaming
                job = None if taken else self._store.claim(kinds, self._running)
                if job is None:
                    if self._ending:
                        return
                    self._wake.wait()
                    continue
                running = self._running[job.id] = Running(process)
            try:
                self._make(job, running)
            except (Refused, OSError, sqlite3.Error) as problem:
                self._store.finish(job.id, problem=told(f"the server could not make this ({problem}); try again", 1))
            with self._wake:
                del self._running[job.id]
                self._wake.notify_all()

    def _make(self, job: StoredJob, running: Running) -> None:
        begin = time.monotonic()
        try:
            if running.unwanted:
                raise Gone(0)
            answer = running.process.ask(self._files.order(job), running.hear)
        except Gone as gone:
            if self._ending:
                self._store.leave(job.id)
            elif running.unwanted:
                self._files.remove(job)
            else:
                self._lost(job, gone.code, running)
            return
        if running.unwanted:
            self._files.remove(job)
            return
        notes = self._notes(job, running)
        seconds = time.monotonic() - begin
        if "error" in answer:
            problem = told(self._files.named(job, str(answer["error"])), int(answer["exit_code"]))
            self._store.finish(job.id, problem=problem, notes=notes)
            self._count("failed", job.kind, seconds)
        else:
            self._store.finish(job.id, report=answer["answer"], notes=notes)
            self._count("done", job.kind, seconds)

    def _notes(self, job: StoredJob, running: Running) -> list[str]:
        """What was said of the visitor's files, under their own names; what concerns the server goes to its output."""
        said = [(note, self._files.named(job, note)) for note in running.notes]
        for note, named in said:
            if note == named:
                print(note, file=sys.stderr)
        return [named for note, named in said if note != named]

    def _lost(self, job: StoredJob, code: int, running: Running) -> None:
        """A bug with a traceback fails at once; what a signal ended is tried again."""
        self.restarts += 1
        if code > 0:
            self._store.finish(job.id, problem=told(
                "this stopped by a bug of ours; the output of the server has its traceback", 1)
            )  # fmt: skip
            self._count("failed", job.kind, 0.0)
        elif self._store.give_back(job.id).over:
            self._count("failed", job.kind, 0.0)

    def _count(self, outcome: str, kind: str, seconds: float) -> None:
        with self._wake:
            key = kind, outcome
            self.finished[key] = self.finished.get(key, 0) + 1
            self.seconds[key] = self.seconds.get(key, 0.0) + seconds
