"""Lists as people write them: any Unicode, any of the usual separators."""

import codecs
import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.errors import BadValue, Unreadable, not_opened

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SEPARATORS = ",;\t"
JSON = (".jsonl", ".json")
Row = dict[str, str]


def read_text(path: Path, kind: str = "a CSV or JSON lines file") -> str:
    """The text of a list, in UTF-8, or in UTF-16 if its first bytes say so.  BadInput if it cannot be read."""
    try:
        data = path.read_bytes()
        encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
        text = data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, ValueError) as problem:
        wrong = Unreadable(f"{path}: not a readable list ({problem}); pass {kind} in UTF-8 or UTF-16")
        raise not_opened(f"{path}", problem) or wrong from problem
    if "\0" in text:
        raise Unreadable(f"{path}: it holds zero bytes, as UTF-16 without a mark does; save it as UTF-8")
    return text


def table(path: Path, text: str, *, once: bool = False) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV with a header line, with the numbers of their lines; blank rows do not count.

    What separates is the one of comma, semicolon and tab that the header has most of; empty columns at its end do not
    count.  once: no two columns may have one name; else the last of them counts.  BadInput if it is no CSV, or a row
    has more cells than the header.
    """
    head = text.lstrip("\n").split("\n", 1)[0]
    rows = csv.reader((f"{line}\n" for line in text.split("\n")), delimiter=max(SEPARATORS, key=head.count))
    names: list[str] = []
    records = []
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1] and (not names or len(cells) > len(names)):
                cells.pop()
            if not names:
                names = cells
                if once and (twice := next((name for name in names if name and names.count(name) > 1), None)):
                    raise Unreadable(f"{path}: its header names the column {twice!r} twice; leave one of them out")
            elif len(cells) > len(names):
                raise Unreadable(f"{path}, row {rows.line_num}: more cells than the header; quote what has a separator")
            elif any(cells):
                records.append((rows.line_num, dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=True))))
    except csv.Error as problem:
        raise Unreadable(f"{path}, row {rows.line_num}: no row of a CSV ({problem}); correct it") from problem
    return records


def read_rows(listing: Path) -> list[tuple[int, Row]]:
    """The rows with their line numbers, as text; blank lines do not count.  BadInput if it cannot be read."""
    text = read_text(listing)
    lines = text.split("\n")
    if listing.suffix.lower() in JSON or text.lstrip().startswith("{"):
        return [(number, _object(listing, number, line)) for number, line in enumerate(lines, 1) if line.strip()]
    return table(listing, text, once=True)


def check_columns(row: Iterable[str], known: Sequence[str], where: str) -> None:
    """BadInput for a column that does not exist."""
    if unknown := set(row) - set(known):
        raise BadValue(f"{where}: unknown column {sorted(unknown)[0]!r}; there are {', '.join(known)}")


def _object(listing: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"{listing}, row {number}: not JSON ({problem}); write one object per line") from problem
    if not isinstance(row, dict):
        raise Unreadable(f"{listing}, row {number}: not an object; write {{\"start\": 0, \"face\": ...}}")
    return {name: "" if value is None else str(value) for name, value in row.items()}
