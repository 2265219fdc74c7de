"""A stream in real time: packets of sound and picture, each when its time has come."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from core.arrays import Picture, Samples

from .pacing import Pacer, Packet
from .stream import Stream

Make = Callable[[range], list[Picture]]
Made = tuple[range, Sequence[Picture]]


class Clock(Protocol):
    """Tells the time, makes pictures meanwhile, and waits."""

    @property
    def busy(self) -> bool: ...

    def now(self) -> float:
        """Seconds, from any moment on."""
        ...

    def start(self, make: Make, frames: range) -> None:
        """Begins to make these frames; not while it is busy."""
        ...

    def wait(self, until: float | None, heard: int) -> None:
        """Until that moment, or until pictures were made, or more sound came than was heard, or its end."""
        ...

    def made(self) -> Made | None:
        """What was made since it was started, once."""
        ...


def play(stream: Stream, clock: Clock, pacer: Pacer | None = None, make: Make | None = None) -> Iterator[Packet]:
    """The packets of a stream until its sound has ended, each when its time has come by the clock.

    make: instead of the stream's own, which it calls.  Another thread pushes sound; the reader must keep up.
    """
    pacer = pacer or Pacer(stream.fps, stream.batch, stream.costs)
    while True:
        with stream.change:
            heard, available, ended = stream.heard, stream.available, stream.ended
        total = available if ended else None
        if (made := clock.made()) is not None:
            pacer.made(*made, clock.now())
        pacer.heard(clock.now(), available)
        if not clock.busy and (frames := pacer.next(clock.now(), available, ended=ended)) is not None:
            clock.start(make or stream.make, frames)
        yield from pacer.packets(clock.now(), heard, total)
        if stream.closed or (pacer.over(total) and not clock.busy):
            return
        clock.wait(None if pacer.waits or pacer.over(total) else pacer.due, heard)


class RealClock:
    """The machine's clock; pictures are made in a thread of their own."""

    def __init__(self, stream: Stream, pool: ThreadPoolExecutor) -> None:
        self._stream, self._pool = stream, pool
        self._work: tuple[range, Future[list[Picture]]] | None = None
        self._ended = False

    @classmethod
    @contextmanager
    def of(cls, stream: Stream) -> "Iterator[RealClock]":
        """One for a stream; leaving it waits for the pictures that are being made."""
        with ThreadPoolExecutor(1, "frames") as pool:
            yield cls(stream, pool)

    @property
    def busy(self) -> bool:
        return self._work is not None

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def start(self, make: Make, frames: range) -> None:
        """See Clock."""
        future = self._pool.submit(make, frames)
        self._work = frames, future
        future.add_done_callback(self._notify)

    def wait(self, until: float | None, heard: int) -> None:
        """See Clock."""
        stream = self._stream
        with stream.change:
            stream.change.wait_for(
                lambda: self._finished() or (stream.heard, stream.ended) != (heard, self._ended) or stream.closed,
                None if until is None else max(until - self.now(), 0.0),
            )
            self._ended = stream.ended

    def made(self) -> Made | None:
        """See Clock; raises what the making raised."""
        if self._work is None or not self._finished():
            return None
        (frames, future), self._work = self._work, None
        return frames, future.result()

    def _finished(self) -> bool:
        return self._work is not None and self._work[1].done()

    def _notify(self, _: object) -> None:
        with self._stream.change:
            self._stream.change.notify_all()


@dataclass
class SimulatedClock:
    """A clock that jumps to the next event, so that minutes pass in the time that the pictures take.

    stream    is pushed `feed`: (when, samples) in their order, and ended behind the last
    cost      what making frames takes, of the seconds that it took here
    """

    stream: Stream
    feed: Iterator[tuple[float, Samples]]
    cost: Callable[[float], float] = lambda seconds: seconds
    _now: float = field(default=0.0, init=False)
    _work: tuple[float, Made] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._coming = next(self.feed, None)

    @property
    def busy(self) -> bool:
        return self._work is not None

    def now(self) -> float:
        """Seconds that were simulated."""
        return self._now

    def start(self, make: Make, frames: range) -> None:
        """Makes them at once, and has them when that would be done."""
        began = time.perf_counter()
        pictures = make(frames)
        self._work = self._now + self.cost(time.perf_counter() - began), (frames, pictures)

    def wait(self, until: float | None, heard: int) -> None:
        """See Clock."""
        events = [moment for moment in (until, self._work and self._work[0], self._coming and self._coming[0])
                  if moment is not None]  # fmt: skip
        self._now = max(self._now, min(events, default=self._now))
        while self._coming is not None and self._coming[0] <= self._now:
            self.stream.push(self._coming[1])
            self._coming = next(self.feed, None)
            if self._coming is None:
                self.stream.finish()

    def made(self) -> Made | None:
        """See Clock."""
        if self._work is None or self._work[0] > self._now:
            return None
        work, self._work = self._work, None
        return work[1]
