"""One job made ready: what is shown and who says what when.  Any stretch of its frames can be made, anywhere, alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from core.arrays import Picture
from face_detection import cut
from guided_diffusion.engine.device import process_memory
from lipsync.jobs.job import Report, unfit_sentence
from lipsync.messages import say
from lipsync.planning.timeline import Plan
from lipsync.planning.turns import SpeakerTurn, missing, unfit
from lipsync.settings import Settings
from lipsync.stopwatch import Stopwatch
from video import Mono, VideoInfo, write_video

from .compositor import composite
from .frame_source import Faces, FrameSource
from .renderer import NetworkInputs, Synthesizer
from .views import CompositedFrame, View, view


@dataclass(frozen=True)
class RenderJob:
    """A job, decided in every respect; frame_source makes its faces unless another is named."""

    info: VideoInfo
    plan: Plan
    turns: Sequence[SpeakerTurn]
    settings: Settings
    synthesizer: Synthesizer
    frame_source: FrameSource
    watch: Stopwatch

    def frames(
        self, start: int = 0, stop: int | None = None, *, show: View | None = None, source: FrameSource | None = None
    ) -> Iterator[Picture]:
        """Frames start..stop-1 of the result, as the settings show them, or as `show` does."""
        show = show or view(self.settings)
        for edit in self.edits(start, self.plan.frames if stop is None else stop, source or self.frame_source):
            with self.watch("paste"):
                picture = show(edit)
            yield picture

    def edits(self, start: int, stop: int, source: FrameSource) -> Iterator[CompositedFrame]:
        """Frames start..stop-1 with what is laid over each, in batches as the source of their faces wants them."""
        pictures = self.watch.iterate("read", self.plan.read(self.info.path, self._frame_bytes, start, stop))
        speakers = [(turn, source.faces(turn.track.shots)) for turn in self.turns]
        first = start
        while first < stop:
            last = min(first - first % source.ahead + source.ahead, stop)
            edits = [CompositedFrame(picture) for picture in islice(pictures, last - first)]
            for turn, faces in speakers:
                edits = self._with_speaker(turn, faces, edits, first)
            yield from edits
            first = last

    def _with_speaker(
        self, turn: SpeakerTurn, faces: Faces, edits: list[CompositedFrame], first: int
    ) -> list[CompositedFrame]:
        """The frames from `first` on, with one more face that speaks."""
        strength = turn.strength(first, first + len(edits), self.plan)
        boxes = {
            i: box
            for i in range(len(edits))
            if strength[i] > 0 and (box := turn.track.box(self.plan[first + i])) is not None
        }
        if not boxes:
            return edits
        with self.watch("generate"):
            crops = np.stack([cut(edits[i].picture, box, self.synthesizer.size) for i, box in boxes.items()])
            frames = [first + i for i in boxes]
            sources = [self.plan[k] for k in frames]
            shown = NetworkInputs(
                crops, turn.references.of(sources, crops),
                turn.audio(frames, self.plan, self.synthesizer.needs.audio), turn.moves(frames),
            )  # fmt: skip
            new_faces = faces(frames, sources, shown)
        result = list(edits)
        with self.watch("paste"):
            for (i, box), before, after in zip(boxes.items(), crops, new_faces, strict=True):
                layer = composite(edits[i].picture, box, before, after, float(strength[i]), self.settings)
                result[i] = CompositedFrame(edits[i].picture, (*edits[i].layers, layer), (*edits[i].boxes, box))
        return result

    def original(self) -> Iterator[Picture]:
        """The video as it was, as long as the result."""
        return replace(self.plan, source=self.info.frames).read(self.info.path, self._frame_bytes)

    def encode(self, path: Path, frames: Iterable[Picture], sound: Path | Mono | None = None) -> None:
        """Writes frames to a file, as the settings say."""
        settings, aspect = self.settings, self.info.pixel_aspect
        with self.watch("encode"):
            write_video(
                path, frames, self.plan.fps, sound=sound, codec=settings.codec, crf=settings.crf, pixel_aspect=aspect
            )

    @property
    def edited(self) -> int:
        """How many frames of the result show a generated mouth."""
        shown = np.zeros(self.plan.frames, np.bool_)
        for turn in self.turns:
            sources = [self.plan[k] for k in range(turn.first, turn.stop)]
            speaking = turn.strength(turn.first, turn.stop, self.plan) > 0
            shown[turn.first : turn.stop] |= speaking & turn.track.present[sources]
        return int(shown.sum())

    def warn(self) -> None:
        """Says where no mouth is made, if that is anywhere."""
        if sentence := unfit_sentence(self.info.path, unfit(self.turns, self.plan)):
            say(sentence)

    def report(self) -> Report:
        """What happened, once all frames were written."""
        low, high = self.plan.sources(0, self.plan.frames)
        shots = {shot for turn in self.turns for shot in turn.track.shots if low < shot < high}
        return Report(
            self.plan.frames, self.edited, missing(self.turns, self.plan), self.watch.seconds, process_memory(),
            source_frames=high - low, shots=len(shots) + 1, batch=self.synthesizer.batch,
            unfit=unfit(self.turns, self.plan),
        )  # fmt: skip

    @property
    def _frame_bytes(self) -> int:
        return self.info.height * self.info.width * 3
