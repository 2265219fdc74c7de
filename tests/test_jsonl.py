"""A row is one line, whatever is in its names, and comes back as it was."""

import json
import os
from pathlib import Path

import pytest

from core.jsonl import as_lines, lines_of

NAMES = ["für dich.mp4", "a\u2028b.mp4", "a\x85b.mp4", "a\nb\rc\td.mp4", os.fsdecode(b"caf\xe9.mp4"), "😀.mp4"]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_names_come_back_also_from_lines_in_utf_8(tmp_path: Path, ascii_only: bool) -> None:
    path, names = tmp_path / "a.jsonl", NAMES if ascii_only else [name for name in NAMES if "\udce9" not in name]
    rows = [{"name": name, "seconds": 1.5} for name in names]
    text = as_lines(rows) if ascii_only else "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="ascii" if ascii_only else "utf-8")
    assert [json.loads(line) for line in lines_of(path)] == rows


def test_a_line_cut_short_is_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b\xc3')
    assert [line[:3] for line in lines_of(path)] == ['{"a', '{"b']
    path.write_bytes(b"")
    assert lines_of(path) == []
