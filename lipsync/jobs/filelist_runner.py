"""Many videos, by any number of processes: each is accounted for, and none stops the others."""

import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial

from core.errors import BadInput, LipSyncError, Stopped
from core.program import said
from core.progress import quiet, say, tell
from guided_diffusion.engine.distributed import Group
from lipsync.pipeline import LipSyncPipeline
from lipsync.rendering.frame_source import FrameSource
from lipsync.settings import LOADED

from .item import FilelistItem
from .job import Job, Report, aligned
from .manifest import Manifest, ManifestEntry
from .runner import JobRunner
from .scheduler import Task, tasks


class RowError(LipSyncError):
    """A row of a list failed by a bug of ours."""

    exit_code = 1


@dataclass
class RunSummary:
    """What one process did, and in `all_done`, `all_frames` and `all_failed`, at the end, what all of them did.

    problems: why this process could not do what it should, in order.  report: of the last result that it finished.
    """

    done: int = 0
    frames: int = 0
    problems: list[LipSyncError] = field(default_factory=list)
    report: Report | None = None
    all_done: int = 0
    all_frames: int = 0
    all_failed: int = 0


class FilelistRunner:
    """Makes items, by all processes of a group.

    Several rows may be made at once, in threads (see `FrameSource.each_result`); they are then prepared one after
    another.

    manifest: where it is noted, and by which finished results are skipped; None for one video, which is always made.
    keep: leave the chunks of which results are joined.
    """

    def __init__(
        self, pipeline: LipSyncPipeline, group: Group, *, manifest: Manifest | None = None, keep: bool = False
    ) -> None:
        self.pipeline, self.group, self.manifest, self.keep = pipeline, group, manifest, keep
        self._summary = RunSummary()
        self._waiting: list[JobRunner] = []
        self._long: list[Task] = []
        self._preparing, self._turn = threading.Lock(), threading.RLock()  # the latter: of summary and manifest

    def run(self, items: Sequence[FilelistItem]) -> RunSummary:
        """Every process calls this with the same items.  Raises Stopped or KeyboardInterrupt on Ctrl-C.

        The processes meet twice, outside of everything that can fail: when all frames are made, and when all is joined.
        """
        summary = self._summary
        if self.manifest is not None:
            self.manifest.read()
        if self.group.main:
            for item in items:
                if item.problem is not None:
                    self._note(item.job, item.problem)
        items = [item for item in items if item.problem is None]
        try:
            works = [(task.number, partial(self._make, task)) for task in tasks(items, self.group)]
            self.pipeline.frame_source.each_result(len(items), works)
            for task in self._long:
                self._make(task, self.pipeline.frame_source)
        except KeyboardInterrupt:
            if self.manifest is None:
                raise
            raise Stopped("stopped; the same command goes on with what is left") from None
        self.group.total(0)
        for runner in self._waiting:
            with self._accounted(runner.job), runner:
                if runner.complete:
                    self._finish(runner)
        sums = self.group.totals([summary.done, summary.frames, len(summary.problems)])
        summary.all_done, summary.all_frames, summary.all_failed = map(round, sums)
        return summary

    def _make(self, task: Task, source: FrameSource) -> None:
        """This process's part of a result, and if it is alone with it, all; later, if the source is for short ones."""
        with quiet(wanted=not task.team.main), self._accounted(task.item.job):
            with self._preparing:
                runner = self._runner(task, source)
                with self._turn:
                    made = self.manifest is not None and self.manifest.finished(
                        runner.job, runner.key, task.item.writes
                    )
                    if made:
                        tell("skipped", output=runner.job.output)
                        return
                if source.shared and len(runner.chunks) > 1:
                    self._long.append(task)
                    return
            if task.team.size > 1:
                if task.team.main:
                    self._waiting.append(runner)
                runner.prepare()
                runner.render()
                return
            with runner:
                with self._preparing:
                    runner.prepare()
                runner.render()
                self._finish(runner)

    def _runner(self, task: Task, source: FrameSource) -> JobRunner:
        """Of the one loaded system, under the settings of an item."""
        own = {name: value for name, value in vars(task.item.settings).items() if name not in LOADED}
        return JobRunner(
            self.pipeline.adjusted(frame_source=source, **own), task.item.located(), task.team,
            original=task.item.source, keep=self.keep, searched_elsewhere=task.searched_elsewhere,
        )  # fmt: skip

    def _finish(self, runner: JobRunner) -> None:
        report = runner.finish()
        summary = self._summary
        with self._turn:
            summary.done, summary.frames, summary.report = summary.done + 1, summary.frames + report.frames, report
            tell("result", output=runner.job.output, **asdict(report))
            if self.manifest is not None:
                self.manifest.done(runner.job, runner.key, report)
                say(f"{runner.job.output}: {report.frames} frames, {report.elapsed:.1f} s")

    @contextmanager
    def _accounted(self, job: Job) -> Iterator[None]:
        """A problem of one result is noted, and the next one is begun; of a list, even a bug of ours.

        Here every exception may be caught: else a single row could end a night's work, or leave the other processes
        waiting for ever.
        """
        try:
            yield
        except Stopped:
            raise
        except Exception as problem:
            known = said(problem)
            if known is None and isinstance(problem, OSError):
                known = BadInput(f"{job.output}: {problem}; check the paths and the disk")
            if known is None and self.manifest is None:
                raise
            self._note(job, known or self._bug(job, problem, self.manifest))

    def _note(self, job: Job, problem: LipSyncError) -> None:
        with self._turn:
            self._summary.problems.append(problem)
            if self.manifest is not None:
                say(f"failed  {job.output}: {problem}")
                tell("failed", output=job.output, code=problem.exit_code, text=str(problem))
                try:
                    self.manifest.failed(job, str(problem))
                except BadInput as full:  # the report says nothing of it then, the exit code does
                    say(str(full))

    def _bug(self, job: Job, problem: Exception, manifest: Manifest | None) -> LipSyncError:
        trace = "".join(traceback.format_exception(problem))
        if manifest is not None:
            with self._turn, suppress(OSError):
                manifest.keep(job, trace)
        log = "" if manifest is None else f", whose traceback is in {manifest.log}"
        what = f"{type(problem).__name__}: {problem}"
        return RowError(f"{job.output}: a bug of this program{log} ({what}); please report it")


@dataclass(frozen=True)
class FilelistSummary:
    """What became of a list: how many results were made, and the lines of those that there are not."""

    listed: int
    made: int
    frames: int
    seconds: float
    failed: list[ManifestEntry]

    def table(self) -> str:
        """A few aligned lines for a person to read."""
        rows = [
            ("listed", f"{self.listed}"),
            ("made", f"{self.made}"),
            ("skipped", f"{self.listed - self.made - len(self.failed)}"),
            ("failed", f"{len(self.failed)}"),
            ("frames", f"{self.frames}"),
            ("total", f"{self.seconds:.1f} s, {self.frames / max(self.seconds, 1e-9):.2f} frames/s"),
        ]
        return "\n".join([aligned(rows), *(f"failed  {line.output}: {line.error}" for line in self.failed)])
