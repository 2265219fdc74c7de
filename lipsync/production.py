"""One result on its way to a file: its segments are made, by one process or a team, and joined."""

from functools import cached_property
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from errors import Stopped
from guided_diffusion.distributed import Group
from video import join

from .identity import identity
from .jobs import Job, Report
from .lanes import Seat
from .parts import Parts, Span, spans
from .searching import search_together

if TYPE_CHECKING:
    from .chain import Next
    from .dubbing import Dubbing
    from .pipeline import Draft, Dubber

ALONE = Group()


class Production:
    """Makes a result.  Each process of the team calls `make`; when all have, the main one calls `finish`.

        with Production(dubber, job) as production:
            production.make()
            report = production.finish()

    Leaving it removes the folder of segments if none is finished.  Ctrl-C in it raises Stopped where some are.
    """

    def __init__(
        self,
        dubber: "Dubber",
        job: Job,
        team: Group = ALONE,
        *,
        source: Path | None = None,
        keep: bool = False,
        searched_elsewhere: bool = False,
        seat: Seat = Seat(),  # noqa: B008
    ) -> None:
        """source: where to put the video as it was, as long as the result.  keep: leave the segments when done.

        searched_elsewhere: a process outside the team searches the faces of this video; wait for it.
        seat: of a result of one segment among those of a list, for a system whose frames follow each other.
        BadInput, before any work, if the job cannot be done as given.
        """
        job.check(dubber.settings)
        self.job, self.team = job, team
        self.parts = Parts(job.output, identity(job, dubber), dubber.settings.codec)
        if team.size > 1 and dubber.settings.cache is None:
            dubber = dubber.adjusted(cache=self.parts.folder / "faces")
        self.dubber = dubber
        self._source, self._keep, self._seat = source, keep, seat
        self._waits = searched_elsewhere and dubber.settings.cache is not None
        self._dubbing: Dubbing | None = None
        self._missing: list[list[Span]] = []

    def make(self) -> None:
        """This process's share of the segments, but for those that are there: share first, then skip.

        BadInput, NoFace or OutOfMemory as for any dubbing; what was finished until then stays for the next time.
        """
        self.prepare()
        self.write()

    @cached_property
    def draft(self) -> "Draft":
        """What is known before any face is searched."""
        return self.dubber.draft(self.job)

    @property
    def segments(self) -> int:
        """How many the result is made of."""
        return len(spans(self.draft.plan.frames))

    def prepare(self) -> None:
        """The first half of `make`: all that must be known before a frame is made."""
        if self.team.main and self.team.size > 1:  # the others put faces there from now on
            self.parts.hold()
        if self.team.main:  # what the others find held is held by their own team
            self.parts.check_free()
        self._missing = self.parts.missing(self.team.share(spans(self.draft.plan.frames)))
        self._search(self.draft)
        self._dubbing = self.dubber.prepare(self.draft, made=list(chain(*self._missing)))
        if self.team.main:
            self.dubber.warn(self._dubbing)
            self.parts.hold()
        self.parts.make_folder()

    def write(self, ask: "Next | None" = None) -> None:
        """The second half of `make`.  ask: makes the next frame, for a result in a lane, whose frames others count."""
        dubbing = self._ready
        if ask is not None:
            dubbing = dubbing.in_lane(ask, dubbing.watch, lambda: None)
        dubbing.write([[(self.parts.path(span), *span) for span in run] for run in self._missing], self._seat)

    @property
    def _ready(self) -> "Dubbing":
        if self._dubbing is None:
            raise ValueError("a result is joined by a process that made its share of it")
        return self._dubbing

    @property
    def complete(self) -> bool:
        """Whether all segments are there: this process made its own, and so did the others of the team."""
        return self._dubbing is not None and not self.parts.missing(spans(self._dubbing.plan.frames))

    def finish(self) -> Report:
        """Joins the segments, and adds the sound; the result appears by a rename.  BadInput if a segment is damaged."""
        dubbing = self._ready
        joined = self.parts.folder / f"joined{self.job.output.suffix}"
        self._join(joined, dubbing)
        if self._source is not None:
            before = self.parts.folder / f"source{self._source.suffix}"
            dubbing.write_source(before)
            before.replace(self._source)
        dubbing.write_motion()
        joined.replace(self.job.output)
        if not self._keep:
            self.parts.clear()
        self.parts.let_go()
        return self.dubber.report(dubbing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: object, trace: TracebackType | None) -> None:
        finished = any(self.parts.folder.glob("[0-9]*-[0-9]*"))
        if not finished and self.parts.held:
            self.parts.discard()
        self.parts.let_go()
        if finished and kind is KeyboardInterrupt:
            raise Stopped(f"{self.job.output}: stopped; the same command goes on from its finished segments")

    def _search(self, draft: "Draft") -> None:
        """Where several processes need the same faces, no two of them search the same frames."""
        blocks = draft.blocks if self._waits or self.team.size > 1 else []
        if blocks:
            mine = [] if self._waits else self.team.share(blocks)
            with draft.watch("detect"):
                search_together(draft.casting.finder, blocks, mine)

    def _join(self, path: Path, dubbing: "Dubbing") -> None:
        with dubbing.watch("join"):
            files = [self.parts.checked(span) for span in spans(dubbing.plan.frames)]
            join(files, path, dubbing.plan.fps, sound=dubbing.sound)
