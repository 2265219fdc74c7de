"""Seconds per stage, where stages are nested generators: a stage counts its own time, not that of those inside it."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """`with watch("stage")` charges the stage; a stage entered within it is charged to itself alone.

    Every thread has stages of its own.
    """

    def __init__(self) -> None:
        self._own = threading.get_ident()
        self._by_thread: defaultdict[int, _Laps] = defaultdict(_Laps)

    @property
    def seconds(self) -> dict[str, float]:
        """Stage -> what it took in the thread that made this, and in that which took longest of those beside it."""
        laps = {thread: laps.seconds for thread, laps in self._by_thread.items()}
        total = dict(laps.pop(self._own, {}))
        for stage, spent in max(laps.values(), key=lambda other: sum(other.values()), default={}).items():
            total[stage] = total.get(stage, 0.0) + spent
        return total

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        laps = self._by_thread[threading.get_ident()]
        laps.charge()
        laps.running.append(stage)
        laps.seconds.setdefault(stage, 0.0)
        try:
            yield
        finally:
            laps.charge()
            laps.running.pop()

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


class _Laps:
    """The stages of one thread."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.running: list[str] = []
        self._since = time.monotonic()

    def charge(self) -> None:
        now = time.monotonic()
        if self.running:
            self.seconds[self.running[-1]] += now - self._since
        self._since = now
