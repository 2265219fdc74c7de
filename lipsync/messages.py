"""What a user is told while something is being made: sentences and progress, on standard error."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def say(sentence: str) -> None:
    """Tells the user, beside a progress bar."""
    tqdm.write(sentence, file=sys.stderr)


def counted(items: Iterable[T], bar: "tqdm[Any]") -> Iterator[T]:
    """The items, each counted on a progress bar as it is handed out."""
    for item in items:
        bar.update()
        yield item
