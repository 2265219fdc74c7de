"""Many videos, by any number of processes: each is accounted for, and none stops the others."""

import threading
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from tqdm import tqdm

from core.errors import BadInput, LipSyncError, Stopped
from core.program import said
from guided_diffusion.engine.distributed import Group
from lipsync.pipeline import LOADED, LipSyncPipeline, say
from lipsync.rendering.autoregression import Next
from lipsync.rendering.lockstep import LockstepBatcher, Slot, slot_in_list
from lipsync.rendering.renderer import Answer, StepInput
from lipsync.settings import Settings

from .cache_key import cache_key
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

    Of a list, a system whose frames follow each other makes the short results side by side, each in a lane; a result of
    several segments is made alone, its segments side by side.  In a lane all but making frames waits for its turn.

    manifest: where it is noted, and by which finished results are skipped; None for one video, which is always made.
    keep: leave the segments of which results are joined.
    """

    def __init__(
        self, pipeline: LipSyncPipeline, group: Group, *, manifest: Manifest | None = None, keep: bool = False
    ) -> None:
        self.pipeline, self.group, self.manifest, self.keep = pipeline, group, manifest, keep
        self._account = RunSummary()
        self._waiting: list[tuple[JobRunner, str]] = []
        self._turn = threading.RLock()

    def run(self, items: Sequence[FilelistItem]) -> RunSummary:
        """Every process calls this with the same items.  Raises Stopped or KeyboardInterrupt on Ctrl-C.

        The processes meet twice, outside of everything that can fail: when all frames are made, and when all is joined.
        """
        account = self._account
        if self.manifest is not None:
            self.manifest.read()
        if self.group.main:
            for item in items:
                if item.problem is not None:
                    self._note(item.job, item.problem)
        items = [item for item in items if item.problem is None]
        try:
            mine = tasks(items, self.group)
            for task in self._side_by_side(mine, len(items)) if len(mine) > 1 else mine:
                with self._accounted(task.item.job):
                    self._do(task, self._slot(task, len(items)))
        except KeyboardInterrupt:
            if self.manifest is None:
                raise
            raise Stopped("stopped; the same command goes on with what is left") from None
        self.group.total(0)
        for runner, key in self._waiting:
            with self._accounted(runner.job), runner:
                if runner.complete:
                    self._finish(runner, key)
        sums = self.group.totals([account.done, account.frames, len(account.problems)])
        account.all_done, account.all_frames, account.all_failed = map(round, sums)
        return account

    def _slot(self, task: Task, results: int) -> Slot:
        return slot_in_list(task.number, results, self.pipeline.synthesizer.grid)

    def _side_by_side(self, mine: Sequence[Task], results: int) -> Sequence[Task]:
        """Makes those of one segment, if the system's frames follow each other.  -> the others."""
        seats = [self._slot(task, results) for task in mine]
        side, synthesizer = seats[0].side, self.pipeline.synthesizer
        if side == 1 or not synthesizer.needs.before:
            return mine
        long: list[Task] = []

        def work(task: Task, slot: Slot, ask: Next) -> None:
            with self._accounted(task.item.job):
                if not self._do(task, slot, ask):
                    long.append(task)
            bar.update()

        works = defaultdict(list)
        for task, slot in zip(mine, seats, strict=True):
            works[slot.place].append(partial(work, task, slot))
        with tqdm(total=len(mine), desc="speak", unit="video", disable=None) as bar:
            LockstepBatcher(lambda asked: self._next_frames(asked, side)).run(works)
        return long

    def _do(self, task: Task, slot: Slot, ask: Next | None = None) -> bool:
        """This process's part of a result, and if it is alone with it, all.

        ask: makes the next frame, in a lane.  -> False, and nothing is done, if it is too long for one.
        """
        with self._turn:
            pipeline = self._pipeline(task.item.settings)
            job = task.item.located()
            job.check(pipeline.settings)
            key = cache_key(job, pipeline)
            if self.manifest is not None and self.manifest.finished(job, key):
                return True
            runner = JobRunner(
                pipeline, job, task.team, source=task.item.source, keep=self.keep,
                searched_elsewhere=task.searched_elsewhere, slot=slot,
            )  # fmt: skip
            if ask is not None and runner.segments > 1:
                return False
        if task.team.size > 1:
            if task.team.main:
                self._waiting.append((runner, key))
            runner.make()
            return True
        with runner:
            with self._turn:
                runner.prepare()
            runner.write(ask)
            with self._turn:
                self._finish(runner, key)
        return True

    def _finish(self, runner: JobRunner, key: str) -> None:
        report = runner.finish()
        account = self._account
        account.done, account.frames, account.report = account.done + 1, account.frames + report.frames, report
        if self.manifest is not None:
            self.manifest.done(runner.job, key, report)
            say(f"{runner.job.output}: {report.frames} frames, {sum(report.seconds.values()):.1f} s")

    @contextmanager
    def _accounted(self, job: Job) -> Iterator[None]:
        """A problem of one result is noted, and the next one is begun; of a list, even a bug of ours.

        Here, and where one batch is made for several rows, every exception may be caught: else a single row could end
        a night's work, or leave the other processes waiting for ever.
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
            self._account.problems.append(problem)
            if self.manifest is not None:
                say(f"failed  {job.output}: {problem}")
                try:
                    self.manifest.failed(job, str(problem))
                except BadInput as full:  # the report says nothing of it then, the exit code does
                    say(str(full))

    def _bug(self, job: Job, problem: Exception, manifest: Manifest | None) -> LipSyncError:
        trace = "".join(traceback.format_exception(problem))
        if manifest is not None:
            with self._turn, suppress(OSError):
                manifest.keep(job, trace)
        where = "" if manifest is None else f", whose traceback is in {manifest.log}"
        what = f"{type(problem).__name__}: {problem}"
        return RowError(f"{job.output}: a bug of this program{where} ({what}); please report it")

    def _next_frames(self, asked: Mapping[int, StepInput], side: int) -> Mapping[int, Answer | Exception]:
        """What lanes ask for; a bug in making it is that of all that asked, and no one else's."""
        try:
            return self.pipeline.synthesizer.next_frames(asked, side)
        except Exception as problem:  # noqa: BLE001, as above
            return dict.fromkeys(asked, problem)

    def _pipeline(self, settings: Settings) -> LipSyncPipeline:
        """The one system under the settings of an item."""
        return self.pipeline.adjusted(**{name: value for name, value in vars(settings).items() if name not in LOADED})


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
