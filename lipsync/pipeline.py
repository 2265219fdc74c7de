"""The recipe, from files to files.  Every arrow is a generator; memory is bounded.

    plan      1 probe, 2 plan                                     what the result shows when, who says what
    prepare   3 detect, 4 track, 5 choose references, 6 hear      whose face where, what the network will be shown
    render    read_frames -> cut -> 7 sample -> 8 composite -> 9 encode            chunks of a result, in threads
    join      10 join                                             the chunks, and the sound that was given

`lipsync.jobs.runner` does it for one result, alone or with other processes; `lipsync.jobs.filelist_runner` for many.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from pathlib import Path

from audio import sound_blocks
from core.arrays import Span
from core.progress import Bar
from lipsync.jobs.chunks import ChunkStore, chunk_ranges
from lipsync.jobs.job import Job
from lipsync.planning.source_media import JobPlan, SourceMedia
from lipsync.planning.timeline import make_plan
from lipsync.planning.turns import SpeakerTurn, check_apart, frames_of
from lipsync.rendering.frame_source import FrameSource, frame_source
from lipsync.rendering.render_job import RenderJob
from lipsync.rendering.steadying import REACH
from lipsync.rendering.views import view
from video import join

from .models import Models
from .settings import LOADED, Settings
from .stopwatch import Stopwatch
from .trace import Trace

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for what results are (Digital Source Type)."""
SYNTHETIC = f"Synthetic: the mouth in this video was made by a machine (lip-sync). {SOURCE_TYPE}"
"""What every result says of itself in its metadata."""


class LipSyncPipeline:
    """A loaded model under some settings, for any number of jobs."""

    def __init__(self, checkpoint: Path, settings: Settings, trace: Trace | None = None) -> None:
        """trace: where it is noted what each thread does when, if anywhere.

        BadInput if there is no such checkpoint, or it cannot do what the settings say.
        """
        self.settings, self.trace = settings, trace
        with trace("load") if trace is not None else nullcontext():
            self.models = Models(checkpoint, settings)
            if self.models.synthesizer.device.type == "cuda":  # a CPU has nothing to load, and no core to spare
                self.models.warm(settings)
        self.frame_source = frame_source(self.models.synthesizer)

    def adjusted(self, *, frame_source: FrameSource | None = None, **changes: object) -> "LipSyncPipeline":
        """The same models under other settings, its faces made by another source if one is given.

        ValueError for a setting that the model was loaded with.
        """
        if fixed := LOADED & {name for name, value in changes.items() if getattr(self.settings, name) != value}:
            raise ValueError(f"the loaded system was made with its own {', '.join(sorted(fixed))}")
        other = copy(self)
        other.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        other.frame_source = frame_source or self.frame_source
        return other

    def plan(self, job: Job) -> JobPlan:
        """What can be said of a job without searching a face; reads its sounds.  BadInput for what cannot be."""
        watch = Stopwatch(self.trace)
        media = SourceMedia(job, self.settings, self.models, watch)  # 1 probe
        with watch("sound"):
            if job.heard is not None:
                next(sound_blocks(job.heard))  # refused now rather than when all frames are made
            plan = make_plan(media.info, media.seconds, self.settings)  # 2 plan
        self.models.retoucher(self.settings), view(self.settings)  # what cannot be is refused now, too
        return JobPlan(plan, media)

    def prepare(
        self, job_plan: JobPlan, *, within: Span | None = None, stretches: Sequence[Span] | None = None
    ) -> RenderJob:
        """All that must be known before a frame is made; of frames `within` of the result alone, if given.

        stretches: those of the result that will be made, all if None.  It changes no frame: what only others need is
        not read.  NoFace if somebody who is to speak is nowhere.
        """
        plan, media = job_plan.plan, job_plan.media
        low, high = within or (0, plan.frames)
        retoucher = self.models.retoucher(self.settings)
        reach = 0 if retoucher is None else REACH
        shown = None if stretches is None else [
            plan.sources(max(start - reach, 0), min(stop + reach, plan.frames)) for start, stop in stretches
        ]  # fmt: skip
        turns = []
        for segment in media.segments:
            first, stop = frames_of(segment, plan)
            if max(first, low) >= min(stop, high):
                continue
            sources = plan.sources(max(first, low), min(stop, high))
            with media.watch("detect"):
                track = media.track(segment.face, *sources)  # 3 detect, 4 track
                opacity = media.faces.opacity(track, *sources)
                references = media.references(track, shown)  # 5 choose references
                sound = media.heard(segment)  # 6 hear
                motion = media.motion(segment, sound.sound, plan)
            turns.append(SpeakerTurn(
                first, stop, 0 if segment.sound is None else first, track, references, sound.sound.mel, sound.gate,
                sound.banks, motion, opacity,
            ))  # fmt: skip
        check_apart(turns, plan)
        return RenderJob(
            media.info, plan, turns, self.settings, self.models.synthesizer, self.frame_source, media.watch,
            retoucher, within, media.registration(),
        )  # fmt: skip

    def render(self, render_job: RenderJob, store: ChunkStore, runs: Sequence[Sequence[Span]]) -> None:
        """The chunks of a result, in runs of neighbours.  OutOfMemory if not even one frame fits."""

        def make(run: Sequence[Span], source: FrameSource) -> None:
            files = [(store.path(span), span) for span in run]
            render_job.write(files, source, bar.update)  # 7 sample, 8 composite, 9 encode

        total = sum(stop - start for run in runs for start, stop in run)
        quiet = True if self.frame_source.beside else None
        with Bar(total=total, desc="speak", unit="frame", disable=quiet) as bar:
            self.frame_source.each_chunk(render_job.plan.frames, runs, make)

    def join(self, job_plan: JobPlan, store: ChunkStore, path: Path) -> None:
        """A result with its sound, of all its chunks.  BadInput if one is damaged."""
        plan, media = job_plan.plan, job_plan.media
        with media.watch("join"):
            files = [store.checked(chunk) for chunk in chunk_ranges(plan.frames)]
            join(files, path, plan.fps, sound=media.output_sound, comment=SYNTHETIC)  # 10 join
