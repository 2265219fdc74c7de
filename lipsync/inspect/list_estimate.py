"""What a list will make, and how long that will take: every row is looked at, and the first one measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import BatchFailed, LipSyncError
from core.progress import Bar, say
from lipsync.jobs.cache_key import cache_key
from lipsync.jobs.item import FilelistItem
from lipsync.jobs.job import aligned
from lipsync.jobs.manifest import Manifest
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import LOADED, Settings

from .dry_run import estimate


@dataclass(frozen=True)
class ListEstimate:
    """A list that was not made.

    rows, finished: how many there are, and how many of these a run would skip; wanted, frames, seconds: of the results
    that it would make; work: seconds on this machine, None where nothing is to be made; problems: of the rest.
    """

    rows: int
    finished: int
    wanted: int
    frames: int
    seconds: float
    work: float | None
    problems: tuple[str, ...]

    def table(self) -> str:
        """A few aligned lines for a person to read."""
        lines = [
            ("results", f"{self.rows}"),
            ("finished", f"{self.finished}"),
            ("to be made", f"{self.wanted}: {self.frames} frames, {self.seconds:.1f} s"),
            ("cannot be made", f"{len(self.problems)}"),
        ]
        if self.work is not None:
            lines.append(("total", f"about {self.work:.0f} s by one process here, if all are like the first"))
        return aligned(lines)


def estimate_list(pipeline: LipSyncPipeline, items: Sequence[FilelistItem], manifest: Manifest) -> ListEstimate:
    """Opens all files that the rows name, and makes nothing; BadInput if the report is none."""
    manifest.read()
    frames, seconds, finished, wanted, work = 0, 0.0, 0, 0, None
    problems = []
    with Bar(total=len(items), desc="look", unit="result") as bar:
        for item in items:
            try:
                if item.problem is not None:
                    raise item.problem
                own = {name: value for name, value in vars(item.settings).items() if name not in LOADED}
                row, job = pipeline.adjusted(**own), item.located()
                job.check(item.settings)
                if manifest.finished(job, cache_key(job, row.settings, row.models), item.writes):
                    finished += 1
                    continue
                plan = row.plan(job).plan
                if work is None:
                    work = sum(estimate(row, job).seconds.values()) / plan.frames
                frames, seconds, wanted = frames + plan.frames, seconds + float(plan.frames / plan.fps), wanted + 1
            except LipSyncError as problem:
                problems.append(f"{item.where}: {problem}")
            finally:
                bar.update()
    total = None if work is None else work * frames
    return ListEstimate(len(items), finished, wanted, frames, seconds, total, tuple(problems))


def dry_run_list(
    checkpoint: Path, settings: Settings, items: Sequence[FilelistItem], manifest: Manifest
) -> None:
    """Prints what would be made, and says why the rest cannot.  BatchFailed if there is such."""
    found = estimate_list(LipSyncPipeline(checkpoint, settings), items, manifest)
    for problem in found.problems:
        say(problem)
    print(found.table())
    if found.problems:
        raise BatchFailed(f"{len(found.problems)} of {found.rows} cannot be made; nothing was made")
