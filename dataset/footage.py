"""What training windows are cut from: a talking face that need not lie in memory."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audio import FilterBanks, Mel


class Footage(Protocol):
    """One talking face with its sound.  To ask for anything below `amount` may open a file, and raise BadInput."""

    @property
    def name(self) -> str: ...

    @property
    def speaker(self) -> str: ...

    @property
    def amount(self) -> int | None:
        """How many frames it has; None if that cannot be known before it is opened."""
        ...

    def __len__(self) -> int: ...

    @property
    def fps(self) -> Fraction: ...

    @property
    def mel(self) -> Mel:
        """Of the whole clip; frame k is seen at k / fps seconds of it."""
        ...

    @property
    def banks(self) -> FilterBanks | None:
        """The same sound as AV-HuBERT hears it; None where it was not kept."""
        ...

    def pictures(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """The faces of these frames, in any order: u8 [len(numbers), s, s, 3] RGB."""
        ...
