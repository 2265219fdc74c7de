"""What happened to each video of a list: JSON lines beside the results.

    SAMPLE_PATH / LIST.report.jsonl          one line per result, in the list's order, whole at the end of every run
    SAMPLE_PATH / LIST.report.RANK.jsonl     what one process has to say while it runs; a killed run leaves them
    SAMPLE_PATH / LIST.report.log            the tracebacks of what failed by a bug of ours

Each process appends to a file of its own, so that no line is lost where many machines share a file system.  Of several
lines about a result the latest counts.  A result that is there, and whose line says that it was finished under the same
identity, is skipped.  A file of such a name that holds anything else is not ours, and is left as it is: BadInput.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.atomic import atomic
from core.errors import Unreadable, Unwritable
from core.guard import Named

from .chunks import companion
from .job import Job, Report

BEGIN = '{"output": "'  # of each line
LOG = "Tracebacks of lip-sync, of results that a bug of ours prevented.\n"


@dataclass(frozen=True)
class ManifestEntry:
    """output: the result, relative to the report where it lies below it.  error: a sentence, None if it is done.

    identity: what the result depends on (see cache_key.py).  report: the fields of Report.  Both only if it is done.
    """

    output: str
    video: str
    audio: str | None
    identity: str
    error: str | None = None
    report: dict[str, Any] = field(default_factory=dict)
    time: float = 0.0

    def json(self) -> str:
        """One line of text."""
        return json.dumps(asdict(self), ensure_ascii=False)


class Manifest:
    """The report of one list, as one of the processes sees it."""

    def __init__(self, folder: Path, name: str, rank: int = 0) -> None:
        longest = ".report.999999.jsonl"
        name = companion(folder / name, longest).name.removesuffix(longest)
        self.path = folder / f"{name}.report.jsonl"
        self.log = folder / f"{name}.report.log"
        self.lock = folder / f".{name}.lock"
        self._own = folder / f"{name}.report.{rank}.jsonl"
        self._shard = re.compile(re.escape(f"{name}.report.") + r"\d{1,6}\.jsonl")
        self._known: dict[str, ManifestEntry] = {}

    def read(self) -> dict[str, ManifestEntry]:
        """The latest line about each result; lines that a killed process left half written do not count.

        BadInput if a file of its name holds anything else.
        """
        entries: dict[str, ManifestEntry] = {}
        for path in (self.path, *self._shards()):
            for line in _lines(path):
                if line.output not in entries or entries[line.output].time <= line.time:
                    entries[line.output] = line
        if self.log.exists() and not self.log.read_bytes().startswith(LOG.encode()):
            raise Unreadable(f"{self.log}: is not the log of a list; move it away, or give the list another name")
        self._known = entries
        return entries

    def finished(self, job: Job, identity: str, writes: Sequence[Named]) -> bool:
        """Whether all that is written for a result is there, made under this identity, as of the last `read`."""
        line = self._known.get(self._name(job))
        there = all(path.is_file() for _, path in writes)
        return line is not None and not line.error and line.identity == identity and there

    def done(self, job: Job, identity: str, report: Report) -> None:
        """Notes a finished result."""
        self._append(self._line(job, identity, None, asdict(report)))

    def failed(self, job: Job, problem: str) -> None:
        """Notes why there is no result."""
        self._append(self._line(job, "", problem, {}))

    def keep(self, job: Job, trace: str) -> None:
        """Adds the traceback of a result that a bug prevented to the log."""
        begin = "" if self.log.exists() else LOG
        with self.log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{begin}\n{job.output}\n{trace}")

    def merge(self, jobs: Sequence[Job]) -> list[ManifestEntry]:
        """The lines of these jobs that have one, in their order; makes one report of all that processes have said."""
        entries = self.read()
        order = list(dict.fromkeys([*map(self._name, jobs), *entries]))
        lines = [entries[name] for name in order if name in entries]
        with atomic(self.path) as temporary:
            text = "".join(f"{line.json()}\n" for line in lines)
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        for shard in self._shards():
            shard.unlink(missing_ok=True)
        wanted = set(map(self._name, jobs))
        return [line for line in lines if line.output in wanted]

    def _line(self, job: Job, identity: str, error: str | None, report: dict[str, Any]) -> ManifestEntry:
        audio = None if job.audio is None else str(job.audio)
        return ManifestEntry(self._name(job), str(job.video), audio, identity, error, report, time.time())

    def _append(self, line: ManifestEntry) -> None:
        try:
            with self._own.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"\n{line.json()}\n")  # the first newline ends what a killed process left half written
        except OSError as problem:
            raise Unwritable(
                f"{self._own}: the report cannot be written ({problem.strerror}); free some space, and the same command"
                " goes on"
            ) from problem

    def is_own(self, path: Path) -> bool:
        """Whether a file is called as one that some process of a run writes."""
        named = path.name in (self.path.name, self.log.name) or self._shard.fullmatch(path.name) is not None
        return named and path.parent.resolve() == self.path.parent.resolve()

    def _shards(self) -> list[Path]:
        folder = self.path.parent
        return sorted(path for path in folder.iterdir() if self._shard.fullmatch(path.name)) if folder.is_dir() else []

    def _name(self, job: Job) -> str:
        folder = self.path.parent
        return job.output.relative_to(folder).as_posix() if job.output.is_relative_to(folder) else str(job.output)


def _lines(path: Path) -> list[ManifestEntry]:
    """The lines of a report, without those that a killed process left half written."""
    if not path.exists():
        return []
    entries = []
    for number, text in enumerate(path.read_bytes().decode(errors="replace").split("\n"), 1):
        try:
            entries += [ManifestEntry(**json.loads(text))] if text.strip() else []
        except (ValueError, TypeError, RecursionError) as problem:
            if not _torn(text):
                raise Unreadable(
                    f"{path}, line {number}: is no line of a report; move the file away, or give the list another name"
                ) from problem
    return entries


def _torn(text: str) -> bool:
    """Whether it is the beginning of a line of ours: no JSON, but begun as one."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text.startswith(BEGIN) or BEGIN.startswith(text)
    return False
