"""One job made ready: what is shown and who says what when.  Any stretch of its frames can be made, anywhere, alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from face_detection import cut, jaw_mask, lay, mouth_mask
from video import Mono, VideoInfo, write_video

from .jobs import Job
from .mixing import Placed, mix
from .plan import Plan
from .segments import Segment
from .settings import Settings
from .stopwatch import Stopwatch
from .synthesis import Synthesizer
from .turns import Turn
from .views import Edit, View, view

Picture = NDArray[np.uint8]


@dataclass
class Dubbing:
    """A job, decided in every respect.  edited counts the frames made so far that show a generated mouth."""

    job: Job
    info: VideoInfo
    plan: Plan
    segments: Sequence[Segment]
    turns: Sequence[Turn]
    settings: Settings
    synthesizer: Synthesizer
    watch: Stopwatch = field(default_factory=Stopwatch)
    edited: int = 0

    def write(self, path: Path, start: int = 0, stop: int | None = None, *, sound: Path | Mono | None = None) -> int:
        """Frames start..stop-1 as a video file; returns how many.  From multiples of video.SEGMENT on, such files
        joined (`video.join`) are the whole."""
        with self.watch("encode"):
            return write_video(
                path,
                self.frames(start, stop),
                self.plan.fps,
                sound=sound,
                codec=self.settings.codec,
                crf=self.settings.crf,
                pixel_aspect=self.info.pixel_aspect,
            )

    def frames(self, start: int = 0, stop: int | None = None, *, show: View | None = None) -> Iterator[Picture]:
        """Frames start..stop-1 of the result, as the settings show them, or as `show` does."""
        show = show or view(self.settings)
        for edit in self.edits(start, self.plan.frames if stop is None else stop):
            with self.watch("paste"):
                picture = show(edit)
            yield picture

    def edits(self, start: int, stop: int) -> Iterator[Edit]:
        """Frames start..stop-1 with what is laid over each, in batches that are aligned to the synthesizer's grid."""
        source = self.plan.read(self.info.path, self.info.height * self.info.width * 3, start, stop)
        pictures = self.watch.iterate("read", _progress(source, stop - start))
        grid = self.synthesizer.grid
        first = start
        while first < stop:
            last = min(first - first % grid + grid, stop)
            yield from self._batch(list(islice(pictures, last - first)), first)
            first = last

    @property
    def sound(self) -> Path | Mono:
        """What is heard: what the job names for that, else the words, else the mix of all segments' sounds."""
        heard = self.job.heard or self.job.audio
        if heard is not None:
            return heard
        return mix([Placed(s.sound, s.start, s.end) for s in self.segments if s.sound is not None])

    def _batch(self, pictures: list[Picture], first: int) -> Iterator[Edit]:
        edits = [Edit(picture) for picture in pictures]
        for turn in self.turns:
            edits = self._spoken(turn, edits, first)
        self.edited += sum(bool(edit.layers) for edit in edits)
        yield from edits

    def _spoken(self, turn: Turn, edits: list[Edit], first: int) -> list[Edit]:
        """The frames from `first` on, with one more face that speaks."""
        strength = turn.strength(first, first + len(edits), self.plan)
        boxes = [turn.track.box(self.plan[first + i]) for i in range(len(edits))]
        speaking = [i for i, box in enumerate(boxes) if box is not None and strength[i] > 0]
        if not speaking:
            return edits
        with self.watch("generate"):
            faces = self._generate(turn, [edits[i].picture for i in speaking], [first + i for i in speaking])
        result = list(edits)
        with self.watch("paste"):
            for i, face in zip(speaking, faces, strict=True):
                if (box := boxes[i]) is not None:
                    layer = lay(face, box, self._mask * strength[i], self.info.height, self.info.width)
                    result[i] = Edit(edits[i].picture, (*edits[i].layers, layer), (*edits[i].boxes, box))
        return result

    def _generate(self, turn: Turn, pictures: list[Picture], frames: list[int]) -> NDArray[np.uint8]:
        """The new face of each of these frames, u8 [n, s, s, 3]."""
        size, grid = self.synthesizer.size, self.synthesizer.grid
        sources = [self.plan[k] for k in frames]
        boxes = [turn.track.box(source) for source in sources]
        faces = np.stack([cut(p, box, size) for p, box in zip(pictures, boxes, strict=True) if box is not None])
        references = turn.references.of(sources, faces)
        return self.synthesizer([k % grid for k in frames], faces, references, turn.windows(frames, self.plan))

    @property
    def _mask(self) -> NDArray[np.float32]:
        shape = {"jaw": jaw_mask, "half": mouth_mask}[self.settings.mask]
        return shape(self.synthesizer.size, feather=round(self.settings.feather * self.synthesizer.size))


def _progress(items: Iterable[Picture], total: int) -> Iterable[Picture]:
    bar: Iterable[Picture] = tqdm(items, total=total, desc="speak", unit="frame", disable=None)
    return bar
