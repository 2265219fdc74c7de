"""When sound and pictures of a stream are handed out, and which pictures are made at all: the sound is the clock.

Second t of the sound is handed out at `origin` + t, with the picture that belongs to it.  Pictures that could not be
ready in time are never begun; one that comes late is shown only within half a frame of its time.  Sound is never left
out.  It is put off where it does not come (the network, the microphone), or where for seconds no picture was in time,
since they have come to take much longer than before; then everything goes on later by as much, and the report says so.
How long pictures take is known before the first, by those that were made to warm up; so is how much later the sound
must be than the first of them, for the slower ones after it to be in time.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from statistics import median_high

from audio import SAMPLE_RATE
from core.arrays import Picture

SLACK = 0.1  # seconds that the first picture waits at least, so that those after it may take a little longer
SHARE = 0.25  # by which they may take longer than the slowest but one of those that were made before, and the first
AHEAD = 1.0  # seconds that pictures may be made before their time
REMEMBERED = 5  # batches by whose slowest but one it is told what can be in time
PATIENCE = 0.25  # seconds in which a frame that can be in time is waited for, before one is begun that is late
FRESH = 0.04  # seconds in which sound has just come: a frame that waited for it has never more time than then
STARVED, LATE = 10.0, 3  # seconds without a picture, and batches meanwhile that were late, after which all is put off


@dataclass(frozen=True)
class Packet:
    """What is heard and seen from `time` on, a second of the sound.

    samples  which of the sound: a range, empty where the picture comes a little after its sound
    picture  u8 [h, w, 3]; None: the one before stays
    """

    time: float
    samples: range
    picture: Picture | None


@dataclass
class PacingReport:
    """What became of a stream.

    frames   whose time came; shown: with a picture of their own; dropped: never begun; late: made in vain
    stalls   how often the sound did not come in time, stalled seconds in all
    put_off  seconds by which all was put off since pictures had come to take much longer
    skew     seconds by which a picture was handed out after its sound, at most
    """

    frames: int = 0
    shown: int = 0
    dropped: int = 0
    late: int = 0
    stalls: int = 0
    stalled: float = 0.0
    put_off: float = 0.0
    skew: float = 0.0


@dataclass
class Pacer:
    """Decides; it knows no thread, and the time only as it is told.

    fps: of the frames; batch: how many are begun at once; costs: seconds that some batches took before there was sound.
    """

    fps: Fraction
    batch: int = 1
    costs: Sequence[float] = ()
    report: PacingReport = field(default_factory=PacingReport)
    origin: float | None = field(default=None, init=False)
    """When second 0 of the sound is handed out; None until the first picture is there."""

    def __post_init__(self) -> None:
        self._chunk = self._next = 0
        self._began = self._idle = self._seen = self._came = 0.0
        self._available = 0
        self._begun: set[int] = set()
        self._pictures: dict[int, Picture] = {}
        self._after: list[Packet] = []
        self._costs = deque(self.costs, maxlen=REMEMBERED)
        self._waits = False
        self._lateness: list[float] = []

    def next(self, now: float, available: int, *, ended: bool = False) -> range | None:
        """The frames to begin now, of those that are available; None: wait.  See `heard`.

        ended: there will be no others.  Else batches are whole, and hold a frame that can be ready in time, if one
        comes soon; if none can, the newest are begun as soon as their sound is there.
        """
        first = self._next
        if self.origin is not None:
            soonest = ceil(Fraction(now + sorted(self._costs)[-2:][0] - self.origin) * self.fps)
            first = max(first, self._chunk, min(soonest, available - self.batch))
            too_soon = first - max(self._chunk, soonest) > AHEAD * self.fps
            too_late = first + self.batch <= soonest
            if too_soon or (too_late and now - self._came > FRESH and now - self._idle < PATIENCE):
                return None
        stop = min(first + self.batch, available)
        if first >= stop or not (ended or stop - first == self.batch):
            return None
        self._next, self._began = stop, now
        self._begun.update(range(first, stop))
        return range(first, stop)

    def heard(self, now: float, available: int) -> None:
        """So many frames can be made; told at least whenever they have become more."""
        if available > self._available:
            self._available, self._came = available, now

    def made(self, frames: Sequence[int], pictures: Sequence[Picture], now: float) -> None:
        """What was begun last is there."""
        self._costs.append(now - self._began)
        self._idle = now
        if self.origin is None:
            slow = sorted([*self.costs, self._costs[-1]])[-2:][0]  # one that took very long says nothing of others
            self.origin = self._seen = max(now + SLACK, self._began + (1 + SHARE) * slow)
        for frame, picture in zip(frames, pictures, strict=True):
            self._begun.discard(frame)
            if frame >= self._chunk:
                self._pictures[frame] = picture
            elif now - self._due(frame) <= self._tolerance:
                self._after = [Packet(float(frame / self.fps), range(0), picture)]  # only the last is seen
                self._shown(now, now - self._due(frame))
            else:
                self.report.late += 1
                self._lateness.append(now - self._due(frame))
        if len(self._lateness) >= LATE * self.batch and now - self._seen > STARVED:
            self.origin += (put_off := median_high(self._lateness))
            self.report.put_off += put_off
            self._lateness, self._seen = [], now

    def packets(self, now: float, heard: int, total: int | None) -> list[Packet]:
        """What is to be handed out now.

        heard: samples that there are; total: how many frames there are, once that is known.
        """
        found, self._after = self._after, []
        while self.origin is not None and self._due(self._chunk) <= now and (total is None or self._chunk < total):
            frame, first, stop = self._chunk, self._sample(self._chunk), self._sample(self._chunk + 1)
            if total is None and stop > heard:
                self._waits = True
                break
            if self._waits:  # its sound did not come in time
                late, self._waits = now - self._due(frame), False
                self.origin += late
                self.report.stalls += 1
                self.report.stalled += late
            picture = self._pictures.pop(frame, None)
            if picture is not None:
                self._shown(now, 0.0)
            elif frame not in self._begun:
                self.report.dropped += 1
            last = total is not None and frame + 1 == total
            found.append(Packet(float(frame / self.fps), range(first, heard if last else min(stop, heard)), picture))
            self.report.frames += 1
            self._chunk += 1
        return found

    def over(self, total: int | None) -> bool:
        """Whether all was handed out."""
        return total is not None and self._chunk >= total

    @property
    def due(self) -> float | None:
        """When the next sound is handed out, if it is there; None before the first picture is."""
        return None if self.origin is None else self._due(self._chunk)

    @property
    def waits(self) -> bool:
        """Whether sound that is due is not there."""
        return self._waits

    def _shown(self, now: float, skew: float) -> None:
        self.report.shown += 1
        self._lateness, self._seen = [], now
        self.report.skew = max(self.report.skew, skew)

    def _due(self, frame: int) -> float:
        assert self.origin is not None
        return self.origin + float(frame / self.fps)

    @property
    def _tolerance(self) -> float:
        return float(1 / self.fps) / 2

    def _sample(self, frame: int) -> int:
        return int(frame * SAMPLE_RATE / self.fps)
