"""What says how lips move, whoever made it: the first of two stages, whose motion a renderer is told."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from audio import Sound


class Stage1(Protocol):
    """Reads how the lips of faces move, and predicts it from sound in the style of a reference.

    Motion is float32 [n, d]: d numbers a frame, in the units of `space`.
    """

    config: Any
    space: Any
    reader: Any
    predictor: Any

    @property
    def sound_encoder(self) -> Any:
        """What the predictor listens with."""
        ...

    @property
    def size(self) -> int:
        """The side of the faces that it reads, pixels."""
        ...

    def read(self, faces: Tensor) -> Tensor:
        """faces [n, 3, s, s] RGB in [-1, 1] -> motion [n, d]."""
        ...

    def hear(self, sound: Sound, shown: Sequence[range]) -> Any:
        """A sound as the predictor hears it; only frames of these ranges, at 25 a second, will be asked for."""
        ...

    def reference(self, faces: Tensor, heard: Tensor) -> Any:
        """The style of faces [n, 3, s, s] heard with [n, h].  Raises BadInput if they are too few."""
        ...

    def reference_of(self, heard: Tensor, motion: Tensor) -> Any:
        """The style of motion [n, d] that was read already, heard with [n, h].  Raises BadInput likewise."""
        ...

    def to(self, device: Any) -> Any: ...
