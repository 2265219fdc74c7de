"""One job made ready: what is shown and who says what when.  Any stretch of its frames can be made, anywhere, alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from core.arrays import Picture, Pictures
from face_detection import Box, cut, jaw_mask, lay, mouth_mask, news_above_lips, with_detail
from lipsync.jobs.chunks import chunk_ranges
from lipsync.jobs.job import Job
from lipsync.motion.lip_motion import LipMotionSource
from lipsync.planning.audio_mix import Placed, mix
from lipsync.planning.speaker_segments import SpeakerSegment
from lipsync.planning.timeline import Plan
from lipsync.planning.turns import SpeakerTurn
from lipsync.settings import Settings
from lipsync.stopwatch import Stopwatch
from video import Mono, VideoInfo, write_video

from .autoregression import AutoregressiveState, Next
from .lockstep import LockstepBatcher, Slot, answered, slots
from .renderer import Answer, NetworkInputs, StepInput, Synthesizer
from .views import CompositedFrame, View, view

File = tuple[Path, int, int]
AHEAD = 4  # frames that a lane reads at a time


@dataclass
class RenderJob:
    """A job, decided in every respect.

    speak: who makes the next frame of a system whose frames follow each other, and tick: told of each frame, when this
    is made in a lane; else None.
    """

    job: Job
    info: VideoInfo
    plan: Plan
    segments: Sequence[SpeakerSegment]
    turns: Sequence[SpeakerTurn]
    settings: Settings
    synthesizer: Synthesizer
    watch: Stopwatch = field(default_factory=Stopwatch)
    moves: LipMotionSource | None = None
    speak: Next | None = None
    tick: Callable[[], object] | None = None

    def in_lane(self, speak: Next, watch: Stopwatch, tick: Callable[[], object]) -> "RenderJob":
        """The same, its next frames made by others."""
        return replace(self, speak=speak, watch=watch, tick=tick)

    def write(self, runs: Sequence[Sequence[File]], slot: Slot = Slot()) -> None:  # noqa: B008
        """Files of frames start..stop-1 without sound; in a run each begins where the one before it stops.

        From multiples of video.SEGMENT on, such files joined (`video.join`) are the whole.  Runs are made one after
        another, in one go each; by a system whose frames follow each other, files are made side by side, and `seat` is
        that of an only segment.
        """
        if self.synthesizer.needs.before and self.speak is None:
            self._write_side_by_side([file for run in runs for file in run], slot)
            return
        for run in runs:
            frames = self.frames(run[0][1], run[-1][2])
            for path, start, stop in run:
                self._store(path, islice(frames, stop - start))

    def _write_side_by_side(self, files: Sequence[File], slot: Slot) -> None:
        """Each place in a lane of its own; the frames that the lanes have come to are made together."""
        segments = chunk_ranges(self.plan.frames)
        slotted = dict(zip(segments, slots(len(segments), self.synthesizer.grid, slot), strict=True))
        side = slotted[segments[0]].side
        by_place: defaultdict[int, list[File]] = defaultdict(list)
        for file in files:
            by_place[slotted[file[1:]].place].append(file)
        watches = {place: Stopwatch() for place in by_place}

        def store(file: File, place: int, ask: Next) -> None:
            path, *span = file
            own = self.in_lane(ask, watches[place], bar.update)
            own._store(path, own.frames(*span))

        with _bar(sum(stop - start for _, start, stop in files)) as bar:
            works = {place: [partial(store, file, place) for file in own] for place, own in by_place.items()}
            LockstepBatcher(lambda asked: self.synthesizer.next_frames(asked, side)).run(works)
        self.watch.add_longest([watch.seconds for watch in watches.values()])

    def write_source(self, path: Path) -> None:
        """The video as it was, as long and with the same sound as the result."""
        plan = replace(self.plan, source=self.info.frames)
        self._store(path, plan.read(self.info.path, self._frame_bytes), sound=self.sound)

    def write_motion(self) -> None:
        """What the lips do, where the job says."""
        if self.moves is not None and self.job.motion_out is not None:
            self.job.motion_out.parent.mkdir(parents=True, exist_ok=True)
            self.moves.export(self.job.motion_out)

    def _store(self, path: Path, frames: Iterable[Picture], sound: Path | Mono | None = None) -> None:
        settings, aspect = self.settings, self.info.pixel_aspect
        with self.watch("encode"):
            write_video(
                path, frames, self.plan.fps, sound=sound, codec=settings.codec, crf=settings.crf, pixel_aspect=aspect
            )

    def frames(self, start: int = 0, stop: int | None = None, *, show: View | None = None) -> Iterator[Picture]:
        """Frames start..stop-1 of the result, as the settings show them, or as `show` does."""
        show = show or view(self.settings)
        for edit in self.edits(start, self.plan.frames if stop is None else stop):
            with self.watch("paste"):
                picture = show(edit)
            yield picture

    def edits(self, start: int, stop: int) -> Iterator[CompositedFrame]:
        """Frames start..stop-1 with what is laid over each, in batches that are aligned to the synthesizer's grid."""
        source = self.plan.read(self.info.path, self._frame_bytes, start, stop)
        pictures = self.watch.iterate("read", self._counted(source, stop - start))
        grid = self.synthesizer.grid if self.speak is None else AHEAD
        chains = [AutoregressiveState(turn.track.shots) for turn in self.turns]
        first = start
        while first < stop:
            last = min(first - first % grid + grid, stop)
            yield from self._batch(list(islice(pictures, last - first)), first, chains)
            first = last

    @property
    def edited(self) -> int:
        """How many frames of the result show a generated mouth."""
        shown = np.zeros(self.plan.frames, np.bool_)
        for turn in self.turns:
            sources = [self.plan[k] for k in range(turn.first, turn.stop)]
            speaking = turn.strength(turn.first, turn.stop, self.plan) > 0
            shown[turn.first : turn.stop] |= speaking & turn.track.present[sources]
        return int(shown.sum())

    @property
    def sound(self) -> Path | Mono:
        """What is heard: what the job names for that, else the words, else the mix of all segments' sounds."""
        heard = self.job.heard or self.job.audio
        if heard is not None:
            return heard
        return mix([Placed(s.sound, s.start, s.end) for s in self.segments if s.sound is not None])

    def _batch(
        self, pictures: list[Picture], first: int, chains: Sequence[AutoregressiveState]
    ) -> Iterator[CompositedFrame]:
        edits = [CompositedFrame(picture) for picture in pictures]
        for turn, chain in zip(self.turns, chains, strict=True):
            edits = self._spoken(turn, chain, edits, first)
        yield from edits

    def _spoken(
        self, turn: SpeakerTurn, chain: AutoregressiveState, edits: list[CompositedFrame], first: int
    ) -> list[CompositedFrame]:
        """The frames from `first` on, with one more face that speaks."""
        strength = turn.strength(first, first + len(edits), self.plan)
        boxes = [turn.track.box(self.plan[first + i]) for i in range(len(edits))]
        speaking = [i for i, box in enumerate(boxes) if box is not None and strength[i] > 0]
        if not speaking:
            return edits
        chosen = [box for i in speaking if (box := boxes[i]) is not None]
        with self.watch("generate"):
            crops = self._cut([edits[i].picture for i in speaking], chosen)
            faces = self._generate(turn, chain, crops, [first + i for i in speaking])
        result = list(edits)
        with self.watch("paste"):
            for i, box, before, after in zip(speaking, chosen, crops, faces, strict=True):
                mask = self._mask(before, after) * strength[i]
                layer = lay(after, box, mask, self.info.height, self.info.width)
                layer = with_detail(layer, edits[i].picture, box.width, self.settings.detail)
                result[i] = CompositedFrame(edits[i].picture, (*edits[i].layers, layer), (*edits[i].boxes, box))
        return result

    def _cut(self, pictures: list[Picture], boxes: list[Box]) -> Pictures:
        return np.stack([cut(p, box, self.synthesizer.size) for p, box in zip(pictures, boxes, strict=True)])

    def _generate(self, turn: SpeakerTurn, chain: AutoregressiveState, faces: Pictures, frames: list[int]) -> Pictures:
        """The new face of each of these frames, u8 [n, s, s, 3]."""
        grid, needs = self.synthesizer.grid, self.synthesizer.needs
        sources = [self.plan[k] for k in frames]
        references = turn.references.of(sources, faces)
        windows, banks = turn.windows(frames, self.plan), turn.rows(frames, self.plan, needs.rows)
        shown = NetworkInputs(faces, references, windows, banks, turn.moves(frames))
        if needs.before:
            return chain(self.speak or self._alone, frames, sources, shown)
        return self.synthesizer([k % grid for k in frames], shown)

    def _alone(self, after: StepInput) -> Answer:
        return answered(self.synthesizer.next_frames({0: after})[0])

    def _counted(self, pictures: Iterable[Picture], total: int) -> Iterator[Picture]:
        """The pictures, counted by whom it concerns, or on a bar of their own."""
        tick = self.tick
        with ExitStack() as stack:
            if tick is None:
                tick = stack.enter_context(_bar(total)).update
            for picture in pictures:
                tick()
                yield picture

    @property
    def _frame_bytes(self) -> int:
        return self.info.height * self.info.width * 3

    def _mask(self, before: Picture, after: Picture) -> NDArray[np.float32]:
        """How much of a new face is pasted, [s, s]."""
        size = self.synthesizer.size
        feather = round(self.settings.feather * size)
        if self.settings.mask == "half":
            return mouth_mask(size, feather=feather)
        return jaw_mask(size, feather=feather) * news_above_lips(before, after)


def _bar(total: int) -> "tqdm[Any]":
    return tqdm(total=total, desc="speak", unit="frame", disable=None)
