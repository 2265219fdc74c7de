"""Frames made one after another, for systems that are shown frames before each (SyncDiff)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from torch import Tensor

from video import SEGMENT

from .synthesis import Pictures, Shown, Synthesizer


@dataclass
class Chain:
    """One face in one stretch of a result, whose frames are asked for in rising order.

    Each frame is made after the one before it.  The chain begins anew, from the source alone, where that one was not
    made, where another shot begins, and with every segment (video.SEGMENT): so a segment comes out the same whoever
    makes it, and what goes wrong is handed on no further than that.  Lost is that there the first frame does not know
    how the mouth looked before it.  A stretch that begins within a segment differs from that stretch of the whole.
    """

    shots: Collection[int]
    _frame: int | None = field(default=None, init=False)
    _source: int = field(default=0, init=False)
    _made: Tensor | None = field(default=None, init=False)

    def __call__(
        self, synthesizer: Synthesizer, frames: Sequence[int], sources: Sequence[int], shown: Shown
    ) -> Pictures:
        """frames of the result, each of which shows a source frame -> the faces saying it, u8 [n, s, s, 3]."""
        begins = [i for i in range(len(frames)) if not self._follows(frames, sources, i)]
        parts = []
        for start, stop in pairwise(sorted({0, *begins, len(frames)})):
            before = None if start in begins else self._made
            pictures, self._made = synthesizer.in_order(before, shown.part(slice(start, stop)))
            parts.append(pictures)
        self._frame, self._source = frames[-1], sources[-1]
        return np.concatenate(parts)

    def _follows(self, frames: Sequence[int], sources: Sequence[int], i: int) -> bool:
        """Whether frame i of these continues what was made before it."""
        last, source = (frames[i - 1], sources[i - 1]) if i else (self._frame, self._source)
        low, high = sorted((source, sources[i]))
        return frames[i] - 1 == last and frames[i] % SEGMENT != 0 and not any(low < shot <= high for shot in self.shots)
