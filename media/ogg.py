"""The pages of an Ogg file (RFC 3533)."""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

HEAD, FIRST = 27, 2  # bytes of a page's head, and its flag of the first page of a recording


@dataclass(frozen=True)
class OggPage:
    """Bytes start..stop-1 of the file, as the page says of itself; first: a recording begins with it."""

    start: int
    stop: int
    first: bool


def pages(data: mmap) -> Iterator[OggPage]:
    """One after another, from the beginning; of the last, the end may lie beyond the file's."""
    start = 0
    while data[start : start + 4] == b"OggS":
        head = data[start : start + HEAD]
        if len(head) < HEAD:
            yield OggPage(start, start + HEAD, first=False)
            return
        stop = start + HEAD + head[26] + sum(data[start + HEAD : start + HEAD + head[26]])
        yield OggPage(start, stop, bool(head[5] & FIRST))
        start = stop
