"""Seconds per stage, where stages are nested generators, or threads side by side.

A stage counts its own time, not that of those inside it; and what several threads are at together counts once.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from .trace import Trace

T = TypeVar("T")
WAITING = "wait"  # within a stage, time that counts for none


class Stopwatch:
    """`with watch("stage")` charges the stage; a stage entered within it is charged to itself alone.

    trace: where each stretch of a stage is noted too, if anywhere.
    """

    def __init__(self, trace: Trace | None = None) -> None:
        self._trace = trace
        self._lock = threading.Lock()
        self._clocks: defaultdict[str, _Clock] = defaultdict(_Clock)
        self._any, self._beside = _Clock(), _Clock()
        self._running: defaultdict[int, list[str]] = defaultdict(list)
        self._began: dict[int, float] = {}
        self._overlapping: tuple[str, ...] = ()

    @property
    def seconds(self) -> dict[str, float]:
        """Stage -> for how long some thread was at it."""
        return {stage: clock.seconds for stage, clock in self._clocks.items() if stage != WAITING}

    @property
    def elapsed(self) -> float:
        """For how long some thread was at some stage."""
        return self._any.seconds

    @property
    def waited(self) -> dict[str, float]:
        """Of the stages that were side by side: for how long none of their threads was at it meanwhile."""
        seconds = self.seconds
        return {s: max(self._beside.seconds - seconds[s], 0.0) for s in self._overlapping if s in seconds}

    @contextmanager
    def side_by_side(self, stages: Sequence[str]) -> Iterator[None]:
        """While it is open, these stages run in threads of their own."""
        with self._lock:
            self._overlapping = tuple(stages)
            self._beside.start(time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                self._beside.stop(time.monotonic())

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        thread = threading.get_ident()
        with self._lock:
            running, now = self._running[thread], time.monotonic()
            if running:
                self._leave(running[-1], thread, now)
            running.append(stage)
            self._enter(stage, thread, now)
        try:
            yield
        finally:
            with self._lock:
                now = time.monotonic()
                self._leave(stage, thread, now)
                if running:  # as ever, unless Ctrl-C came in between
                    running.pop()
                if running:
                    self._enter(running[-1], thread, now)

    def iterate(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The items, each charged to the stage while it is being made."""
        iterator = iter(items)
        while True:
            with self(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _enter(self, stage: str, thread: int, now: float) -> None:
        self._began[thread] = now
        self._clocks[stage].start(now)
        if stage != WAITING:
            self._any.start(now)

    def _leave(self, stage: str, thread: int, now: float) -> None:
        self._clocks[stage].stop(now)
        if stage != WAITING:
            self._any.stop(now)
        began = self._began.pop(thread, now)
        if self._trace is not None:
            self._trace.add(stage, began, now)


class _Clock:
    """Runs while at least one thread does."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._threads = 0
        self._since = 0.0

    def start(self, now: float) -> None:
        if not self._threads:
            self._since = now
        self._threads += 1

    def stop(self, now: float) -> None:
        self._threads = max(self._threads - 1, 0)
        if not self._threads:
            self.seconds += now - self._since
