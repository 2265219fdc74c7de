"""Frames made one after another, for systems that are shown frames before each (SyncDiff)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from core.arrays import Pictures
from video import SEGMENT

from .renderer import Answer, NetworkInputs, StepInput

Next = Callable[[StepInput], Answer]
"""Makes one frame."""


@dataclass
class AutoregressiveState:
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

    def __call__(self, speak: Next, frames: Sequence[int], sources: Sequence[int], shown: NetworkInputs) -> Pictures:
        """frames of the result, each of which shows a source frame -> the faces saying it, u8 [n, s, s, 3]."""
        parts = []
        for i, (frame, source) in enumerate(zip(frames, sources, strict=True)):
            before = self._made if self._follows(frame, source) else None
            picture, self._made = speak(StepInput(before, shown.part(slice(i, i + 1))))
            parts.append(picture)
            self._frame, self._source = frame, source
        return np.concatenate(parts)

    def _follows(self, frame: int, source: int) -> bool:
        """Whether this frame continues what was made last."""
        low, high = sorted((self._source, source))
        return frame - 1 == self._frame and frame % SEGMENT != 0 and not any(low < shot <= high for shot in self.shots)
