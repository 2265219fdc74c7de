"""Where diffusion takes place: in pixels, or in the latents of an autoencoder."""

from typing import Protocol

from torch import Tensor


class Space(Protocol):
    """A way there and back.  What a network samples is an element [c, h, w] of it."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one element: channels, rows, columns."""
        ...

    @property
    def bounded(self) -> bool:
        """Whether elements lie in [-1, 1], so that predictions may be clipped to that."""
        ...

    def encode(self, pictures: Tensor) -> Tensor:
        """pictures [n, 3, s, s] RGB in [-1, 1] -> elements [n, c, h, w], of about unit deviation or below."""
        ...

    def decode(self, elements: Tensor) -> Tensor:
        """The inverse, as far as there is one; it may leave [-1, 1]."""
        ...


class Pixels:
    """Pictures as they are."""

    bounded = True

    def __init__(self, size: int) -> None:
        self.shape = (3, size, size)

    def encode(self, pictures: Tensor) -> Tensor:
        return pictures

    def decode(self, elements: Tensor) -> Tensor:
        return elements
