"""Whether a clip's sound belongs to its lips, by what somebody who can tell says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from audio import Mel


@dataclass(frozen=True)
class Offset:
    """frames: by how many of the clip's frames its sound comes late (below 0: early).  confidence: more is surer."""

    frames: float
    confidence: float


Scorer = Callable[[NDArray[np.uint8], Mel, Fraction], Offset]
"""(faces u8 [t, s, s, 3] RGB, their mel, frames per second) -> how far the sound is off.

It is pickled along with every video that goes to a worker process: let it load its weights at its first call.
"""


@dataclass(frozen=True)
class SyncFilter:
    """What is done about an offset.

    min_confidence   what is found with less is not believed, and the clip is left out: the lips are hidden, somebody
                     else speaks, or the sound is dubbed
    max_offset       up to so many frames a clip stays as it is, since no estimate is better than that; beyond, its
                     sound is shifted by the offset
    """

    min_confidence: float = 0.0
    max_offset: float = 1.0

    def __post_init__(self) -> None:
        if not self.max_offset >= 0:
            raise ValueError(f"the largest offset is 0 frames or more, not {self.max_offset}")

    def correction(self, offset: Offset) -> float | None:
        """By how many frames the sound is to be moved forward; None if the clip is to be left out."""
        if not offset.confidence >= self.min_confidence:
            return None
        return offset.frames if abs(offset.frames) > self.max_offset else 0.0
