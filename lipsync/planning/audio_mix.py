"""The sounds of several segments, each at its time -> one, a second at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from audio import sound_blocks
from core.arrays import Samples
from video import Mono

from .speaker_segments import SpeakerSegment

RATE = 48_000  # samples per second of a mix


def mix(segments: Sequence[SpeakerSegment]) -> Mono:
    """The sounds of segments, each cut where it ends; mono at 48 kHz, clipped where they are too loud together.

    Memory: a second of each.
    """
    return Mono(_mixed([_Player(segment.sound, segment) for segment in segments if segment.sound is not None]), RATE)


class _Player:
    """Hands out a sound piece by piece on the clock of the mix."""

    def __init__(self, sound: Path, segment: SpeakerSegment) -> None:
        self._blocks = sound_blocks(sound, rate=RATE)
        self._waiting: Samples = np.zeros(0, np.float32)
        self._ahead = round(segment.start * RATE)  # samples of silence before it
        self._left = None if segment.end is None else round((segment.end - segment.start) * RATE)
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
