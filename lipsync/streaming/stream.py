"""Sound in as it comes, frames out: a prepared face says what is pushed.

A frame can be made once its look-ahead of sound is there; which frames are made when, and which are left out, is the
caller's matter (`pacing.py` keeps to a clock).  Frames of a stream that leaves none out, of a model that was loaded
with the batch of the stream, are those of `LipSync.frames`: bit for bit where it hears by the mel alone (docs/api.md).
"""

import threading
import time
from bisect import bisect
from collections.abc import Collection, Iterator, Sequence
from copy import copy
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio import SAMPLE_RATE, LiveSound
from core.arrays import Picture
from core.errors import BadValue
from dataset import AudioFeatures
from lipsync.motion.style_reference import FPS
from lipsync.rendering.compositor import composite
from lipsync.rendering.frame_source import FrameSource, frame_source
from lipsync.rendering.renderer import NetworkInputs, Synthesizer
from lipsync.rendering.views import CompositedFrame, view
from lipsync.settings import Settings
from systems.stage1 import LiveMotion

from .prepared_face import HeldFrame, PreparedFace

PCM = 32768  # full scale of 16-bit samples
WARM, WARM_SECONDS = 6, 3.0  # batches of the warming up whose time is taken, and seconds after which they are enough
APART = 10  # frames from one of these to the next: each hears anew
REMEMBERED = 10  # seconds before a frame that are kept: the longest-sighted encoder looks back 8


class Stream:
    """A prepared face that says a sound as it comes.  `push` may be called by another thread than all else.

        with model.stream("person.mp4") as stream:
            for samples in microphone:              # float32 in [-1, 1] or int16, 16 kHz, mono, any number at a time
                stream.push(samples)
                for frame, time in stream.ready():  # u8 [h, w, 3] RGB, and the second of the sound at which it is seen
                    show(frame, time)

    fps        frames a second
    lookahead  seconds from a frame's time to the last of the sound that it waits for, at most
    batch      frames that the network makes at once
    costs      seconds that some batches took before there was a sound, the slow first one not among them
    """

    def __init__(self, face: PreparedFace, synthesizer: Synthesizer, settings: Settings, batch: int = 0) -> None:
        """batch: 0 for 1 on a CPU and 5 elsewhere, and for 1 where each frame is made after the one before it."""
        one = synthesizer.needs.before or synthesizer.device.type == "cpu"
        self.batch = batch or (1 if one else 5)
        self._synthesizer = copy(synthesizer)
        self._synthesizer.grid = self._synthesizer.batch = self.batch
        self._face, self._settings, self._show = face, settings, view(settings)
        self._needs = synthesizer.needs
        self.fps: Fraction = face.plan.fps
        self._change = threading.Condition()
        self._begin()
        self.costs: tuple[float, ...] = tuple(self._warm_up())
        self._begin()

    def _begin(self) -> None:
        self._sound = LiveSound(banks=self._needs.filterbanks)
        self._moves = None if self._face.motion is None else _Moves(self._face.motion(), self.fps)
        source: FrameSource = frame_source(self._synthesizer)
        self._faces = source.faces(self._face.shots)
        self._retouched = None if self._face.retoucher is None else self._face.retoucher.following()
        self._ready = self._next = self._made = 0
        self._closed = False

    @property
    def lookahead(self) -> float:
        return max(self._samples(frame) / SAMPLE_RATE - float(frame / self.fps) for frame in range(int(2 * self.fps)))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        height, width = self._show(CompositedFrame(self._face.frames[0].picture)).shape[:2]
        return height, width

    @property
    def heard(self) -> int:
        """How many samples were pushed."""
        return self._sound.length

    @property
    def ended(self) -> bool:
        """Whether no more will come."""
        return self._sound.ended

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def change(self) -> threading.Condition:
        """Is notified when sound was pushed, or ended."""
        return self._change

    def push(self, samples: NDArray[np.float32] | NDArray[np.int16]) -> None:
        """More of the sound: [n], float32 in [-1, 1] or int16, 16,000 a second.

        BadInput if it is none, comes after the end, or 600 s wait of which no frames were made.
        """
        heard: NDArray[Any] = np.asarray(samples)
        if heard.dtype == np.int16:
            heard = heard.astype(np.float32) / np.float32(PCM)
        with self._change:
            self._sound.push(heard)
            self._change.notify_all()

    def finish(self) -> None:
        """No more sound will come: its last frames need not wait for what follows."""
        with self._change:
            if not self._sound.ended:
                self._sound.end()
            self._change.notify_all()

    @property
    def available(self) -> int:
        """How many frames, counted from the first, can be made of the sound that is there; once it ended, all."""
        with self._change:
            if self._sound.ended:
                return max(1, round(Fraction(self._sound.seconds) * self.fps))
            while self._samples(self._ready) <= self._sound.length:
                self._ready += 1
            return self._ready

    def ready(self) -> Iterator[tuple[Picture, float]]:
        """The frames that can be made now and were not yet, each with its time in seconds; batches are waited for."""
        while (span := self._batch()) is not None:
            for k, picture in zip(span, self.make(span), strict=True):
                yield picture, float(k / self.fps)

    def __iter__(self) -> Iterator[tuple[Picture, float]]:
        """All frames, waiting for sound; ends after `finish`, which another thread calls."""
        while True:
            yield from self.ready()
            with self._change:
                if self._closed or (self._sound.ended and self._next >= self.available):
                    return
                self._change.wait_for(lambda: self._closed or self._sound.ended or self._batch() is not None)

    def make(self, frames: Sequence[int]) -> list[Picture]:
        """Frames of the stream, rising from call to call, at most `batch`; those in between are left out.

        BadInput for frames whose sound is not there yet.  Mismatch and OutOfMemory as of a file.
        """
        if not frames or frames[0] < self._next or frames[-1] >= self.available:
            raise BadValue(f"frames {list(frames)} of a stream cannot be made now; make those that are available")
        held = [self._face.frames[self._face.plan[k]] for k in frames]
        faces = self._new_faces(list(frames), held)
        self._next = frames[-1] + 1
        with self._change:
            self._sound.forget(int(frames[-1] / self.fps - REMEMBERED) * SAMPLE_RATE)
        return [self._show(self._composited(k, held[i], faces.get(i))) for i, k in enumerate(frames)]

    def close(self) -> None:
        """Ends whoever iterates."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _batch(self) -> range | None:
        """The next batch that can be made; a smaller one only where the sound ends."""
        stop = min(self._next - self._next % self.batch + self.batch, available := self.available)
        whole = stop % self.batch == 0 or (self._sound.ended and stop == available)
        return range(self._next, stop) if self._next < stop and whole else None

    def _samples(self, frame: int) -> int:
        """How many samples must be there for a frame."""
        needs = [condition.samples(frame, self.fps) for condition in self._needs.audio]
        return max([*needs, 0 if self._moves is None else self._moves.samples(frame)])

    def _new_faces(self, frames: Sequence[int], held: Sequence[HeldFrame]) -> dict[int, Picture]:
        """Of those that have a face to be made, by their places."""
        shown = [i for i, frame in enumerate(held) if frame.crop is not None]
        with self._change:
            sound = AudioFeatures(self._sound.mel, self._sound.banks)
        audio = {
            one.name: np.concatenate([one.windows(sound, frames[i], frames[i] + 1, self.fps) for i in shown])
            for one in self._needs.audio if shown
        }  # fmt: skip
        motion = None if self._moves is None else self._moves(frames, self._sound)
        # Numbered as they are made: so slots are filled, and each follows the one made before, where some are left out.
        numbers = [self._made + i for i in shown]
        self._made += len(frames)
        if not shown:
            return {}
        crops = np.stack([crop for i in shown if (crop := held[i].crop) is not None])
        sources = [self._face.plan[frames[i]] for i in shown]
        told = None if motion is None else motion[shown]
        inputs = NetworkInputs(crops, self._face.references.of(sources, crops), audio, told)
        faces = zip(shown, self._faces(numbers, sources, inputs), strict=True)
        return {i: face if (correct := held[i].correction) is None else correct(face) for i, face in faces}

    def _composited(self, number: int, held: HeldFrame, face: Picture | None) -> CompositedFrame:
        if face is None or held.box is None or held.crop is None:
            return CompositedFrame(held.picture)
        layer = composite(held.picture, held.box, held.crop, face, held.strength, self._settings, held.mouths)
        scene = (bisect(self._face.shots, self._face.plan[number]),)
        frame = CompositedFrame(held.picture, (layer,), (held.box,), (scene,))
        return frame if self._retouched is None else self._retouched(number, frame)

    def _warm_up(self) -> Iterator[float]:
        """Makes some batches of silence: the first of all is slow, wherever it comes.  How long the others took."""
        apart = max(APART, self.batch)
        last = WARM * apart + self.batch
        self.push(np.zeros(self._samples(last), np.float32))
        begun = time.perf_counter()
        for first in range(0, last, apart):
            at = time.perf_counter()
            self.make(range(first, first + self.batch))
            if first:
                yield time.perf_counter() - at
            if time.perf_counter() - begun > WARM_SECONDS and first:
                return


class _Moves:
    """Lip motion at the frame rate of a stream, between the two frames at 25 a second that are nearest in time."""

    def __init__(self, motion: LiveMotion, fps: Fraction) -> None:
        self._motion, self._fps = motion, fps
        self._first, self._known = 0, np.empty((0, 0), np.float32)

    def samples(self, frame: int) -> int:
        """How many samples must be there for a frame."""
        return self._motion.samples(self._last(frame))

    def _last(self, frame: int) -> int:
        place = frame * FPS / self._fps
        return int(place) + (place.denominator != 1)

    def __call__(self, frames: Collection[int], sound: LiveSound) -> NDArray[np.float32]:
        """f32 [n, d] of frames that rise from call to call; what none of them needs is not predicted."""
        moved = []
        for frame in frames:
            place = float(frame * FPS / self._fps)
            if int(place) >= self._first + len(self._known):
                self._first, self._known = self._motion.skip(int(place)), self._known[:0]
            while self._first + len(self._known) <= self._last(frame):
                more = np.asarray(self._motion(sound), np.float32)
                self._known = np.concatenate([self._known, more]) if len(self._known) else more
            low, high = int(place) - self._first, self._last(frame) - self._first
            share = np.float32(place - int(place))
            between = self._known[low] * (1 - share) + self._known[high] * share
            moved.append(self._known[low] if high == low else between)
            self._first, self._known = self._first + low, self._known[low:]
        return np.stack(moved)
