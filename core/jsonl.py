"""JSON lines as programs here keep them: an object a line, in ASCII, so that every name comes back as it was.

What Python reads of a name that is no UTF-8 can be spelled so, and nothing but a line feed ends a line: `splitlines`
would also cut at U+2028 or U+0085, which names may have in them.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path


def as_lines(rows: Iterable[Mapping[str, object]]) -> str:
    """The text of these rows."""
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def lines_of(path: Path) -> list[str]:
    """The lines of such a file, ours or one in UTF-8, not parsed yet: a kill may have cut the last one short."""
    lines = path.read_bytes().decode(errors="replace").split("\n")
    return lines if lines[-1] else lines[:-1]
