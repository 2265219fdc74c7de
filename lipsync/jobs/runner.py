"""One result on its way to a file: its segments are made, by one process or a team, and joined."""

from functools import cached_property
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from core.arrays import Span
from core.errors import Stopped
from guided_diffusion.engine.distributed import Group
from lipsync.rendering.lockstep import Slot
from video import join

from .cache_key import cache_key
from .chunks import ChunkStore, chunk_ranges
from .job import Job, Report
from .shared_detection import search_together

if TYPE_CHECKING:
    from lipsync.pipeline import JobPlan, LipSyncPipeline
    from lipsync.rendering.autoregression import Next
    from lipsync.rendering.render_job import RenderJob

ALONE = Group()


class JobRunner:
    """Makes a result.  Each process of the team calls `make`; when all have, the main one calls `finish`.

        with JobRunner(pipeline, job) as production:
            production.make()
            report = production.finish()

    Leaving it removes the folder of segments if none is finished.  Ctrl-C in it raises Stopped where some are.
    """

    def __init__(
        self,
        pipeline: "LipSyncPipeline",
        job: Job,
        team: Group = ALONE,
        *,
        source: Path | None = None,
        keep: bool = False,
        searched_elsewhere: bool = False,
        slot: Slot = Slot(),  # noqa: B008
    ) -> None:
        """source: where to put the video as it was, as long as the result.  keep: leave the segments when done.

        searched_elsewhere: a process outside the team searches the faces of this video; wait for it.
        seat: of a result of one segment among those of a list, for a system whose frames follow each other.
        BadInput, before any work, if the job cannot be done as given.
        """
        job.check(pipeline.settings)
        self.job, self.team = job, team
        self.parts = ChunkStore(job.output, cache_key(job, pipeline), pipeline.settings.codec)
        if team.size > 1 and pipeline.settings.cache is None:
            pipeline = pipeline.adjusted(cache=self.parts.folder / "faces")
        self.pipeline = pipeline
        self._source, self._keep, self._slot = source, keep, slot
        self._waits = searched_elsewhere and pipeline.settings.cache is not None
        self._render_job: RenderJob | None = None
        self._missing: list[list[Span]] = []

    def make(self) -> None:
        """This process's share of the segments, but for those that are there: share first, then skip.

        BadInput, NoFace or OutOfMemory as for any render job; what was finished until then stays for the next time.
        """
        self.prepare()
        self.write()

    @cached_property
    def job_plan(self) -> "JobPlan":
        """What is known before any face is searched."""
        return self.pipeline.plan_job(self.job)

    @property
    def segments(self) -> int:
        """How many the result is made of."""
        return len(chunk_ranges(self.job_plan.plan.frames))

    def prepare(self) -> None:
        """The first half of `make`: all that must be known before a frame is made."""
        if self.team.main and self.team.size > 1:  # the others put faces there from now on
            self.parts.hold()
        if self.team.main:  # what the others find held is held by their own team
            self.parts.check_free()
        self._missing = self.parts.missing(self.team.share(chunk_ranges(self.job_plan.plan.frames)))
        self._search(self.job_plan)
        self._render_job = self.pipeline.prepare(self.job_plan, made=list(chain(*self._missing)))
        if self.team.main:
            self.pipeline.warn(self._render_job)
            self.parts.hold()
        self.parts.make_folder()

    def write(self, ask: "Next | None" = None) -> None:
        """The second half of `make`.  ask: makes the next frame, for a result in a lane, whose frames others count."""
        render_job = self._ready
        if ask is not None:
            render_job = render_job.in_lane(ask, render_job.watch, lambda: None)
        render_job.write([[(self.parts.path(span), *span) for span in run] for run in self._missing], self._slot)

    @property
    def _ready(self) -> "RenderJob":
        if self._render_job is None:
            raise ValueError("a result is joined by a process that made its share of it")
        return self._render_job

    @property
    def complete(self) -> bool:
        """Whether all segments are there: this process made its own, and so did the others of the team."""
        return self._render_job is not None and not self.parts.missing(chunk_ranges(self._render_job.plan.frames))

    def finish(self) -> Report:
        """Joins the segments, and adds the sound; the result appears by a rename.  BadInput if a segment is damaged."""
        render_job = self._ready
        joined = self.parts.folder / f"joined{self.job.output.suffix}"
        self._join(joined, render_job)
        if self._source is not None:
            before = self.parts.folder / f"source{self._source.suffix}"
            render_job.write_source(before)
            before.replace(self._source)
        render_job.write_motion()
        joined.replace(self.job.output)
        if not self._keep:
            self.parts.clear()
        self.parts.let_go()
        return self.pipeline.report(render_job)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: object, trace: TracebackType | None) -> None:
        finished = any(self.parts.folder.glob("[0-9]*-[0-9]*"))
        if not finished and self.parts.held:
            self.parts.discard()
        self.parts.let_go()
        if finished and kind is KeyboardInterrupt:
            raise Stopped(f"{self.job.output}: stopped; the same command goes on from its finished segments")

    def _search(self, job_plan: "JobPlan") -> None:
        """Where several processes need the same faces, no two of them search the same frames."""
        blocks = job_plan.blocks if self._waits or self.team.size > 1 else []
        if blocks:
            mine = [] if self._waits else self.team.share(blocks)
            with job_plan.watch("detect"):
                search_together(job_plan.casting.finder, blocks, mine)

    def _join(self, path: Path, render_job: "RenderJob") -> None:
        with render_job.watch("join"):
            files = [self.parts.checked(span) for span in chunk_ranges(render_job.plan.frames)]
            join(files, path, render_job.plan.fps, sound=render_job.sound)
