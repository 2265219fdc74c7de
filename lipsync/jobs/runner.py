"""One result on its way to a file: its chunks are made, by one process or a team, and joined."""

from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from core.arrays import Span
from core.errors import Stopped
from guided_diffusion.engine.distributed import Group
from lipsync.pipeline import LipSyncPipeline
from lipsync.planning.source_media import JobPlan
from lipsync.rendering.render_job import RenderJob

from .cache_key import cache_key
from .chunks import ChunkStore, chunk_ranges
from .job import Job, Report
from .shared_detection import search_together

ALONE = Group()


def dub(pipeline: LipSyncPipeline, job: Job) -> Report:
    """Writes job.output.  Raises BadInput, NoFace or OutOfMemory; then there is no new result."""
    with JobRunner(pipeline, job) as runner:
        runner.prepare()
        runner.render()
        return runner.finish()


class JobRunner:
    """Makes a result.  Each process of the team calls `prepare` and `render`; when all have, the main one `finish`.

    Leaving it removes the folder of chunks if none is finished.  Ctrl-C in it raises Stopped where some are.
    """

    def __init__(
        self,
        pipeline: LipSyncPipeline,
        job: Job,
        team: Group = ALONE,
        *,
        original: Path | None = None,
        keep: bool = False,
        searched_elsewhere: bool = False,
    ) -> None:
        """original: where to put the video as it was, as long as the result.  keep: leave the chunks when done.

        searched_elsewhere: a process outside the team searches the faces of this video; wait for it.
        BadInput, before any work, if the job cannot be done as given.
        """
        job.check(pipeline.settings)
        self.job, self.team = job, team
        self.key = cache_key(job, pipeline.settings, pipeline.models)
        self.store = ChunkStore(job.output, self.key, pipeline.settings.codec)
        if team.size > 1 and pipeline.settings.cache is None:
            pipeline = pipeline.adjusted(cache=self.store.folder / "faces")
        self.pipeline = pipeline
        self._original, self._keep = original, keep
        self._waits = searched_elsewhere and pipeline.settings.cache is not None
        self._render_job: RenderJob | None = None
        self._missing: list[list[Span]] = []

    @cached_property
    def job_plan(self) -> JobPlan:
        """What is known before any face is searched."""
        return self.pipeline.plan(self.job)

    @property
    def chunks(self) -> list[Span]:
        """The ranges of frames that the result is made of."""
        return chunk_ranges(self.job_plan.plan.frames)

    def prepare(self) -> None:
        """All that must be known before a frame is made: share the chunks first, then skip those that are there.

        BadInput or NoFace if the job cannot be done.
        """
        if self.team.main and self.team.size > 1:  # the others put faces there from now on
            self.store.hold()
        if self.team.main:  # what the others find held is held by their own team
            self.store.check_free()
        self._missing = self.store.missing(self.team.share(self.chunks))
        self._search()
        self._render_job = self.pipeline.prepare(self.job_plan, stretches=list(chain(*self._missing)))
        if self.team.main:
            self._render_job.warn()
            self.store.hold()
        self.store.make_folder()

    def render(self) -> None:
        """This process's share of the chunks.  OutOfMemory if it fails; what is finished stays for the next time."""
        self.pipeline.render(self._prepared, self.store, self._missing)

    @property
    def _prepared(self) -> RenderJob:
        if self._render_job is None:
            raise ValueError("a result is joined by a process that made its share of it")
        return self._render_job

    @property
    def complete(self) -> bool:
        """Whether all chunks are there: this process made its own, and so did the others of the team."""
        return self._render_job is not None and not self.store.missing(self.chunks)

    def finish(self) -> Report:
        """Joins the chunks, and adds the sound; the result appears by a rename.  BadInput if a chunk is damaged."""
        render_job = self._prepared
        joined = self.store.folder / f"joined{self.job.output.suffix}"
        self.pipeline.join(self.job_plan, self.store, joined)
        if self._original is not None:
            before = self.store.folder / f"source{self._original.suffix}"
            render_job.encode(before, render_job.original(), self.job_plan.media.output_sound)
            before.replace(self._original)
        self.job_plan.media.write_motion()
        joined.replace(self.job.output)
        if not self._keep:
            self.store.clear()
        self.store.let_go()
        return replace(render_job.report(), warnings=self.job_plan.media.warnings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: object, trace: TracebackType | None) -> None:
        finished = any(self.store.folder.glob("[0-9]*-[0-9]*"))
        if not finished and self.store.held:
            self.store.discard()
        self.store.let_go()
        if finished and kind is KeyboardInterrupt:
            raise Stopped(f"{self.job.output}: stopped; the same command goes on from its finished chunks")

    def _search(self) -> None:
        """Where several processes need the same faces, no two of them search the same frames."""
        blocks = self.job_plan.blocks if self._waits or self.team.size > 1 else []
        if blocks:
            mine = [] if self._waits else self.team.share(blocks)
            with self.job_plan.media.watch("detect"):
                search_together(self.job_plan.media.faces.finder, blocks, mine)
