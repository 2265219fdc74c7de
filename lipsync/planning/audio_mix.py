"""Several sounds, each at its time -> one, a second at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio import sound_blocks
from core.arrays import Samples
from video import Mono

RATE = 48_000  # samples per second of a mix



@dataclass(frozen=True)
class Placed:
    """A sound that begins at `start` seconds, and is cut at `end` (None: never)."""

    sound: Path
    start: float
    end: float | None = None


def mix(parts: Sequence[Placed]) -> Mono:
    """All parts together, mono at 48 kHz; what is too loud together is clipped.  Memory: a second of each."""
    return Mono(_mixed([_Player(part) for part in parts]), RATE)


class _Player:
    """Hands out a sound piece by piece on the clock of the mix."""

    def __init__(self, part: Placed) -> None:
        self._blocks = sound_blocks(part.sound, rate=RATE)
        self._waiting: Samples = np.zeros(0, np.float32)
        self._ahead = round(part.start * RATE)  # samples of silence before it
        self._left = round((part.end - part.start) * RATE) if part.end is not None else None
        self.done = False

    def take(self, count: int) -> Samples:
        """The next `count` samples; zeros before it begins and after it ended."""
        silent = min(self._ahead, count)
        self._ahead -= silent
        wanted = count - silent if self._left is None else min(count - silent, self._left)
        while self._waiting.size < wanted and (block := next(self._blocks, None)) is not None:
            self._waiting = np.concatenate([self._waiting, block])
        taken, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        if self._left is not None:
            self._left -= wanted
        self.done = not self._ahead and (taken.size < count - silent or self._left == 0)
        return np.concatenate([np.zeros(silent, np.float32), taken, np.zeros(count - silent - taken.size, np.float32)])


def _mixed(players: list[_Player]) -> Iterator[Samples]:
    while not all(player.done for player in players):
        total = np.sum([player.take(RATE) for player in players], axis=0)
        yield np.clip(total, -1, 1).astype(np.float32)
