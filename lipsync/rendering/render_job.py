"""One job made ready: what is shown and who says what when.  Any stretch of its frames can be made, anywhere, alone."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np

from core.arrays import Picture, Span
from core.beside import ahead, behind
from core.progress import say
from face_detection import Box, MouthDetail, cut
from guided_diffusion.engine.device import process_memory
from lipsync.jobs.job import Report, unfit_sentence
from lipsync.planning.timeline import Plan
from lipsync.planning.turns import SpeakerTurn, missing, unfit
from lipsync.settings import X264_PRESETS, Settings
from lipsync.stopwatch import WAITING, Stopwatch
from video import Mono, VideoInfo, pick_frames, write_video

from .compositor import composite
from .frame_source import FaceGenerator, FrameSource
from .mouth_exemplars import MouthExemplars
from .registration import Registration
from .renderer import NetworkInputs, Synthesizer
from .retouching import Retoucher
from .steadying import REACH
from .views import CompositedFrame, View, view

STAGES = ("read", "cut", "generate", "paste", "encode")
"""What a frame passes through, in threads side by side; reading and cutting are one thread's."""
RETOUCHING = ("occlude", "restore", "retouch")  # in the thread that pastes, where it is asked for


@dataclass(frozen=True)
class CutFace:
    """A face that speaks: whose turn it is, where it was cut, how much of the new one is seen, u8 [s, s, 3]."""

    turn: int
    box: Box
    strength: float
    crop: Picture


@dataclass(frozen=True)
class CutFrame:
    """A frame of the result, its picture u8 [h, w, 3] and its faces that speak, in the order of their turns."""

    frame: int
    picture: Picture
    faces: Sequence[CutFace]


@dataclass(frozen=True)
class SpokenFrame:
    """The same with the new face, u8 [s, s, 3], for each."""

    frame: int
    picture: Picture
    faces: Sequence[tuple[CutFace, Picture]]


@dataclass(frozen=True)
class RenderJob:
    """A job, decided in every respect; frame_source makes its faces unless another is named.

    retoucher: what improves new faces, if anything; known: the frames of which all is known, None: all of the result.
    registration: what brings new faces to their place, if anything.
    """

    info: VideoInfo
    plan: Plan
    turns: Sequence[SpeakerTurn]
    settings: Settings
    synthesizer: Synthesizer
    frame_source: FrameSource
    watch: Stopwatch
    retoucher: Retoucher | None = None
    known: Span | None = None
    registration: Registration | None = None

    def frames(
        self, start: int = 0, stop: int | None = None, *, show: View | None = None, source: FrameSource | None = None
    ) -> Iterator[Picture]:
        """Frames start..stop-1 of the result, as the settings show them, or as `show` does; all in this thread."""
        show = show or view(self.settings)
        for edit in self.edits(start, self.plan.frames if stop is None else stop, source or self.frame_source):
            with self.watch("paste"):
                picture = show(edit)
            yield picture

    def edits(self, start: int, stop: int, source: FrameSource) -> Iterator[CompositedFrame]:
        """Frames start..stop-1 with what is laid over each."""
        low, high = self._around(start, stop, source)
        spoken = self._spoken(self._cut(low, high, source), low, high, source)
        return self._edited(spoken, start - low, stop - low, source)

    def write(self, files: Sequence[tuple[Path, Span]], source: FrameSource, done: Callable[[], object]) -> None:
        """Neighbouring stretches of the result to a file each: what `frames` and `encode` make, in less time.

        Four stages work side by side, each frame passing from one to the next: reading and cutting, the network (in
        this thread), compositing, encoding.  done: called after each frame that was encoded.
        """
        start, stop = files[0][1][0], files[-1][1][1]
        low, high = self._around(start, stop, source)
        room = max(1, min(source.ahead, source.room // self._frame_bytes))
        show = view(self.settings)

        def encode(pictures: Iterator[Picture]) -> None:
            for path, (first, last) in files:
                self.encode(path, _told(self.watch.iterate(WAITING, islice(pictures, last - first)), done))

        def composite(spoken: Iterator[SpokenFrame]) -> None:
            with behind(encode, room, "encode") as finished:
                for edit in self._edited(spoken, start - low, stop - low, source):
                    with self.watch("paste"):
                        picture = show(edit)
                    finished(picture)

        with (
            self.watch.side_by_side((*STAGES, *RETOUCHING)),
            ahead(self._cut(low, high, source), room, "read") as cut_frames,
            behind(composite, room, "paste") as finished,
        ):
            for frame in self._spoken(cut_frames, low, high, source):
                finished(frame)

    def _around(self, start: int, stop: int, source: FrameSource) -> Span:
        """The frames that must be made for frames start..stop-1: more of them where neighbours have a say."""
        first, last = self.known or (0, self.plan.frames)
        reach = REACH if self.retoucher is not None and source.independent else 0
        return max(min(first, start), start - reach), min(max(last, stop), stop + reach)

    def _cut(self, start: int, stop: int, source: FrameSource) -> Iterator[CutFrame]:
        """Frames start..stop-1 with the faces that speak."""
        pictures = self.watch.iterate("read", self.plan.read(self.info.path, self._frame_bytes, start, stop))
        for first, last in _batches(start, stop, source):
            strengths = [turn.strength(first, last, self.plan) for turn in self.turns]
            for frame, picture in zip(range(first, last), pictures, strict=False):
                with self.watch("cut"):
                    faces = []
                    for place, (turn, strength) in enumerate(zip(self.turns, strengths, strict=True)):
                        opacity = float(strength[frame - first])
                        if opacity > 0 and (box := turn.track.box(self.plan[frame])) is not None:
                            faces.append(CutFace(place, box, opacity, cut(picture, box, self.synthesizer.size)))
                yield CutFrame(frame, picture, faces)

    def _spoken(
        self, cut_frames: Iterator[CutFrame], start: int, stop: int, source: FrameSource
    ) -> Iterator[SpokenFrame]:
        """The frames start..stop-1, in batches as the source of faces wants them, with a new face for each cut one."""
        speakers = [source.faces(turn.track.shots) for turn in self.turns]
        for first, last in _batches(start, stop, source):
            batch = list(islice(cut_frames, last - first))
            results: list[dict[int, Picture]] = []
            for place, (turn, faces) in enumerate(zip(self.turns, speakers, strict=True)):
                own = {item.frame: face.crop for item in batch for face in item.faces if face.turn == place}
                results.append(self._new_faces(turn, faces, own) if own else {})
            while batch:
                item = batch.pop(0)  # so that a frame is held no longer than it is needed
                spoken = [(face, results[face.turn][item.frame]) for face in item.faces]
                yield SpokenFrame(item.frame, item.picture, spoken)

    def _new_faces(self, turn: SpeakerTurn, faces: FaceGenerator, crops: dict[int, Picture]) -> dict[int, Picture]:
        """Of the faces of one turn, by the frames of the result: those that speak."""
        with self.watch("generate"):
            frames, stacked = list(crops), np.stack(list(crops.values()))
            sources = [self.plan[k] for k in frames]
            shown = NetworkInputs(
                stacked, turn.references.of(sources, stacked),
                turn.audio(frames, self.plan, self.synthesizer.needs.audio), turn.moves(frames),
            )  # fmt: skip
            new = faces(frames, sources, shown)
            if self.registration is not None:
                new = self.registration(turn.track, turn.references, sources, new)
            return dict(zip(frames, new, strict=True))

    def _edited(
        self, spoken: Iterator[SpokenFrame], first: int, stop: int, source: FrameSource
    ) -> Iterator[CompositedFrame]:
        """Frames first..stop-1 of these with what is laid over each."""
        edits = (self._composited(frame, source) for frame in spoken)
        return edits if self.retoucher is None else self.retoucher(edits, self.watch, first, stop)

    def _composited(self, frame: SpokenFrame, source: FrameSource) -> CompositedFrame:
        """A frame with a layer for each new face."""
        with self.watch("paste"):
            layers = [
                composite(
                    frame.picture, face.box, face.crop, new, face.strength, self.settings,
                    self._mouths_for(face.turn, frame.frame),
                )
                for face, new in frame.faces
            ]
            scenes = tuple(self._scene(face.turn, frame.frame, source) for face, _ in frame.faces)
            return CompositedFrame(frame.picture, tuple(layers), tuple(face.box for face, _ in frame.faces), scenes)

    def _scene(self, turn: int, frame: int, source: FrameSource) -> tuple[int, ...]:
        """Of which turn and shot a face is, and of which stretch that is made by itself."""
        return turn, bisect_right(self.turns[turn].track.shots, self.plan[frame]), source.stretch(frame)

    def _mouths_for(self, turn: int, frame: int) -> MouthDetail | None:
        """The mouths that a face of a turn may take detail from."""
        return self._mouths.of(self.turns[turn].track, self.plan[frame]) if self.settings.detail else None

    @cached_property
    def _mouths(self) -> MouthExemplars:
        return MouthExemplars(partial(pick_frames, self.info.path), self.synthesizer.size)

    def original(self) -> Iterator[Picture]:
        """The video as it was, as long as the result."""
        return replace(self.plan, source=self.info.frames).read(self.info.path, self._frame_bytes)

    def encode(self, path: Path, frames: Iterable[Picture], sound: Path | Mono | None = None) -> None:
        """Writes frames to a file, as the settings say."""
        settings, aspect = self.settings, self.info.pixel_aspect
        with self.watch("encode"):
            write_video(
                path, frames, self.plan.fps, sound=sound, codec=settings.codec, crf=settings.crf,
                preset=X264_PRESETS[settings.quality], encoder=settings.encoder, pixel_aspect=aspect,
            )  # fmt: skip

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
            unfit=unfit(self.turns, self.plan), elapsed=self.watch.elapsed, waited=self.watch.waited,
            extras=self.settings.extras,
        )  # fmt: skip

    @property
    def _frame_bytes(self) -> int:
        return self.info.height * self.info.width * 3


def _batches(start: int, stop: int, source: FrameSource) -> Iterator[Span]:
    """The frames start..stop-1 as a source of faces wants them: those of one multiple of `ahead` to the next."""
    while start < stop:
        last = min(start - start % source.ahead + source.ahead, stop)
        yield start, last
        start = last


def _told(pictures: Iterable[Picture], done: Callable[[], object]) -> Iterator[Picture]:
    """The pictures, each counted once it was used."""
    for picture in pictures:
        yield picture
        done()
