"""What a user is told while something is being made: sentences and progress, on standard error (see core.progress)."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from core.progress import Bar, say

__all__ = ["Bar", "counted", "say"]
T = TypeVar("T")


def counted(items: Iterable[T], bar: Bar) -> Iterator[T]:
    """The items, each counted on a progress bar as it is handed out."""
    for item in items:
        bar.update()
        yield item
