"""Where new faces come from: each made by itself, or each after the one before it, as SyncDiff's are.

A `FrameSource` is chosen once for a loaded system.  The rest of the pipeline asks it for faces and gives it chunks and
results to make, and does not know which of the two it is.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from core.arrays import Pictures, Span
from core.beside import beside
from core.progress import Bar, asking
from dataset import ClipBatch, to_pictures
from lipsync.jobs.chunks import chunk_ranges
from systems.system import AutoregressiveState
from video import CHUNK

from .lockstep import Ask, LockstepBatcher, Slot, Work, answered, slot_in_list, slots
from .renderer import NetworkInputs, Synthesizer

ROOM = 2**28
AHEAD = 4  # frames that are read at a time where each is made after the one before it

FaceGenerator = Callable[[Sequence[int], Sequence[int], NetworkInputs], Pictures]
"""Makes one face in a stretch of a result: frames of the result, rising from call to call, the source frames that these
show, and what the network is shown of them -> the face saying it, u8 [n, s, s, 3]."""
MakeChunks = Callable[[Sequence[Span], "FrameSource"], None]
MakeResult = Callable[["FrameSource"], None]


class FrameSource(ABC):
    """Makes the faces of results; chunks and results one after another.

    ahead    frames of a result that are asked for at once: those of one multiple of it to the next
    shared   the network's batches hold frames of other results too: it is for a result of one chunk alone
    independent   a frame is the same whatever others are made
    beside   other results are made meanwhile: how far one is, is no bar of its own
    room     bytes of frames that may wait between two stages of a result
    """

    ahead: int
    shared = False
    independent = False
    beside = False
    room = ROOM

    def stretch(self, frame: int) -> int:
        """Frames of one number are the same whoever makes them all, or a part of them."""
        return 0 if self.independent else frame // CHUNK

    @abstractmethod
    def faces(self, shots: Collection[int]) -> FaceGenerator:
        """For one face in a stretch of a result; shots: the source frames in which shots begin."""

    def each_chunk(self, frames: int, runs: Sequence[Sequence[Span]], make: MakeChunks) -> None:
        """Calls `make` until all chunks of `runs` are made, of a result of so many frames."""
        for run in runs:
            make(run, self)

    def each_result(self, listed: int, works: Sequence[tuple[int, MakeResult]]) -> None:
        """Calls the works, each with its number in a list of so many results, of which it makes one."""
        for _, work in works:
            work(self)


class IndependentFrames(FrameSource):
    """Frame k of a result is made by itself, as item k mod `ahead` of a batch.

    Of a list several results are on their way at once: while one is searched, another is generated and a third encoded.
    """

    independent = True

    def __init__(self, synthesizer: Synthesizer) -> None:
        self._synthesizer, self.ahead = synthesizer, synthesizer.grid

    def faces(self, shots: Collection[int]) -> FaceGenerator:
        """Whatever the shots: no frame knows of another."""
        return lambda frames, sources, shown: self._synthesizer([k % self.ahead for k in frames], shown)

    def each_result(self, listed: int, works: Sequence[tuple[int, MakeResult]]) -> None:
        """As many at once as `at_once` says, begun in their order."""
        side = at_once(self._synthesizer.device)
        if min(side, len(works)) < 2:
            super().each_result(listed, works)
            return

        def make(work: MakeResult, check: Callable[[], None]) -> None:
            with asking(check):
                work(InFlight(self, check, ROOM // side))
            bar.update()

        with Bar(total=len(works), desc="speak", unit="video", disable=None) as bar:
            beside([partial(make, work) for _, work in works], side, "result")


class InFlight(FrameSource):
    """Of one result while others are made.  check: raises Closed once all are to end."""

    beside = True

    def __init__(self, source: FrameSource, check: Callable[[], None], room: int) -> None:
        self._source, self._check = source, check
        self.ahead, self.room = source.ahead, room

    def faces(self, shots: Collection[int]) -> FaceGenerator:
        """As the source makes them."""
        make = self._source.faces(shots)

        def checked(frames: Sequence[int], sources: Sequence[int], shown: NetworkInputs) -> Pictures:
            self._check()
            return make(frames, sources, shown)

        return checked


def at_once(device: torch.device) -> int:
    """Results of a list that are on their way at once: on a GPU encoding one takes longer than generating it.

    One where nobody tried more (MPS), or where all has one thread.
    """
    if device.type == "cuda":
        return 3
    return 2 if device.type == "cpu" and torch.get_num_threads() > 1 else 1


@dataclass(frozen=True)
class StepInput:
    """The next frame of a stretch: the frames before it, and what the network is shown of it."""

    state: AutoregressiveState
    shown: NetworkInputs


class AutoregressiveFrames(FrameSource):
    """Each frame is made after the one before it.

    So a network that makes one stretch of a result alone makes one frame at a time.  Several stretches, chunks of one
    result or results of a list, are made in lockstep: their next frames are one batch, in which each keeps its slot.
    """

    ahead = AHEAD

    def __init__(self, synthesizer: Synthesizer, slot: Slot = Slot()) -> None:  # noqa: B008
        """slot: that of the only chunk of a result."""
        self._synthesizer, self._slot = synthesizer, slot

    def faces(self, shots: Collection[int]) -> FaceGenerator:
        """Of a stretch that is made alone."""
        before = self._synthesizer.needs.before
        return AutoregressiveFaces(lambda step: answered(self.next_frames({0: step}, 1)[0]), shots, before)

    def each_chunk(self, frames: int, runs: Sequence[Sequence[Span]], make: MakeChunks) -> None:
        """Chunks in lockstep."""
        chunks = chunk_ranges(frames)
        slotted = dict(zip(chunks, slots(len(chunks), self._synthesizer.grid, self._slot), strict=True))
        self._run([(slotted[chunk], partial(make, [chunk])) for run in runs for chunk in run])

    def each_result(self, listed: int, works: Sequence[tuple[int, MakeResult]]) -> None:
        """Results in lockstep, unless there is but one of them at a time."""
        slotted = [(slot_in_list(number, listed, self._synthesizer.grid), work) for number, work in works]
        if len(works) < 2 or slotted[0][0].side == 1:
            for slot, work in slotted:
                work(AutoregressiveFrames(self._synthesizer, slot))
            return

        def counted(work: MakeResult, lane: FrameSource) -> None:
            work(lane)
            bar.update()

        with Bar(total=len(works), desc="speak", unit="video", disable=None) as bar:
            self._run([(slot, partial(counted, work)) for slot, work in slotted])

    def _run(self, works: Sequence[tuple[Slot, MakeResult]]) -> None:
        """In lockstep, those of one place of the batch one after another."""
        lanes: defaultdict[int, list[Work[StepInput, Pictures]]] = defaultdict(list)
        for slot, work in works:
            lanes[slot.place].append(partial(self._in_lane, work))
        side = works[0][0].side if works else 1
        LockstepBatcher[StepInput, Pictures](lambda asked: self.next_frames(asked, side)).run(lanes)

    def _in_lane(self, work: MakeResult, ask: Ask[StepInput, Pictures]) -> None:
        work(Lane(ask, self._synthesizer.needs.before))

    def next_frames(self, asked: Mapping[int, StepInput], side: int) -> dict[int, Pictures | Exception]:
        """The next frame of several stretches, by their places below `side`, in one batch of one size.

        -> its face u8 [1, s, s, 3], which its state then knows; BadInput for one that is no picture.  OutOfMemory if
        even one does not fit.
        """
        faces: dict[int, Pictures | Exception] = {}

        def next_group(batch: int) -> None:
            group = [place for place in asked if place not in faces][:batch]
            items = [group[0]] * min(side, batch)  # the free slots are filled up with the first
            for place in group:
                items[place % len(items)] = place
            sampled, good = self._synthesizer.sample(self._clips([asked[place] for place in items]))
            for place in group:
                row = place % len(items)
                if not good[row]:
                    faces[place] = self._synthesizer.no_picture()
                    continue
                face = sampled[row : row + 1]
                picture = to_pictures(face)
                asked[place].state.advance(face[:, None])
                faces[place] = picture

        while len(faces) < len(asked):
            self._synthesizer.within_memory(next_group)
        return faces

    def _clips(self, steps: Sequence[StepInput]) -> ClipBatch:
        """Sequences of one frame each on the device, all with as many frames before them."""
        device, past = self._synthesizer.device, self._synthesizer.past
        clips = NetworkInputs.joined([step.shown for step in steps]).clips(apart=True).to(device)
        before = [past(step.state.before, clips.faces[k : k + 1]) for k, step in enumerate(steps)]
        return replace(clips, before=torch.cat(before))


class Lane(FrameSource):
    """Of those that are in lockstep, one; ask: waits for the others, and makes the next frame of each."""

    ahead, shared, beside = AHEAD, True, True

    def __init__(self, ask: Ask[StepInput, Pictures], before: int) -> None:
        self._ask, self._before = ask, before

    def faces(self, shots: Collection[int]) -> FaceGenerator:
        """A frame at a time."""
        return AutoregressiveFaces(self._ask, shots, self._before)


@dataclass
class AutoregressiveFaces:
    """One face in one stretch of a result.

    It begins anew, from the source alone, where the frame before was not made, where another shot begins, and with
    every chunk (video.CHUNK): so a chunk comes out the same whoever makes it, and what goes wrong is handed on no
    further than that.  Lost is that there the first frame does not know how the mouth looked before it.  A stretch that
    begins within a chunk differs from that stretch of the whole.

    ask: makes one frame, u8 [1, s, s, 3]; before: how many frames before each it is shown.
    """

    ask: Ask[StepInput, Pictures]
    shots: Collection[int]
    before: int
    _frame: int | None = field(default=None, init=False)
    _source: int = field(default=0, init=False)
    _state: AutoregressiveState = field(init=False)

    def __call__(self, frames: Sequence[int], sources: Sequence[int], shown: NetworkInputs) -> Pictures:
        """See `FaceGenerator`."""
        faces = []
        for i, (frame, source) in enumerate(zip(frames, sources, strict=True)):
            if not self._follows(frame, source):
                self._state = AutoregressiveState(self.before)
            faces.append(self.ask(StepInput(self._state, shown.part(slice(i, i + 1)))))
            self._frame, self._source = frame, source
        return np.concatenate(faces)

    def _follows(self, frame: int, source: int) -> bool:
        """Whether this frame continues what was made last."""
        low, high = sorted((self._source, source))
        return frame - 1 == self._frame and frame % CHUNK != 0 and not any(low < shot <= high for shot in self.shots)


def frame_source(synthesizer: Synthesizer) -> FrameSource:
    """The one that a system needs."""
    return AutoregressiveFrames(synthesizer) if synthesizer.needs.before else IndependentFrames(synthesizer)
