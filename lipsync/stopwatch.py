"""Seconds per stage, where stages are nested generators: a stage counts its own time, not that of those inside it."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """`with watch("stage")` charges the stage; a stage entered within it is charged to itself alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = time.monotonic()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self._charge()
        self._running.append(stage)
        self.seconds.setdefault(stage, 0.0)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def add_longest(self, others: Sequence[Mapping[str, float]]) -> None:
        """What stages took that ran side by side: those of the one that took longest."""
        longest = max(others, key=lambda other: sum(other.values()), default={})
        for stage, spent in longest.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

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

    def _charge(self) -> None:
        now = time.monotonic()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now
