"""Lists that a person or a program wrote: a CSV with a header line, or JSON lines, one object each."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from errors import BadInput
from texts import read_text, table

Row = dict[str, str]
JSON = (".jsonl", ".json")


def read_rows(listing: Path) -> list[tuple[int, Row]]:
    """The rows with their line numbers, as text; blank lines do not count.  BadInput if it cannot be read."""
    text = read_text(listing)
    lines = text.split("\n")
    if listing.suffix.lower() in JSON or text.lstrip().startswith("{"):
        return [(number, _object(listing, number, line)) for number, line in enumerate(lines, 1) if line.strip()]
    return table(listing, text)


def check_columns(row: Iterable[str], known: Sequence[str], where: str) -> None:
    """BadInput for a column that does not exist."""
    if unknown := set(row) - set(known):
        raise BadInput(f"{where}: unknown column {sorted(unknown)[0]!r}; there are {', '.join(known)}")


def _object(listing: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise BadInput(f"{listing}, row {number}: not JSON ({problem}); write one object per line") from problem
    if not isinstance(row, dict):
        raise BadInput(f"{listing}, row {number}: not an object; write {{\"start\": 0, \"face\": ...}}")
    return {name: "" if value is None else str(value) for name, value in row.items()}
