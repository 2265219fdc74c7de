"""Lists are read however they were saved."""

from pathlib import Path

import pytest

from core.errors import Unreadable
from core.rows import read_rows, read_text, table
from dataset.filelist import read_filelist
from tests.helpers.failing import fails

ROWS = [("ä.mp4", "w.wav"), ("b c.mp4", "")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("trailing", [0, 2])
def test_any_encoding_separator_and_line_end(tmp_path: Path, encoding: str, separator: str, end: str, trailing: int):
    lines = [separator.join(row) + separator * trailing for row in [("video", "audio"), *ROWS, ("", "")]]
    path = tmp_path / "l.csv"
    path.write_bytes(end.join(lines).encode(encoding))
    found = table(path, read_text(path))
    assert [(row["video"], row["audio"]) for _, row in found] == ROWS
    assert [number for number, _ in found] == [2, 3] and list(found[0][1]) == ["video", "audio"]


def test_a_quoted_cell_may_hold_the_separator_and_a_line_end(tmp_path: Path) -> None:
    text = 'a,b\n"1,2","x\ny"\n'
    assert table(tmp_path, text) == [(3, {"a": "1,2", "b": "x\ny"})]


@pytest.mark.parametrize("data", ["a b\n".encode("utf-16-le"), b"\xff\xfe\xff", b"a \xe4\n"])
def test_what_is_no_text_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "l.txt").write_bytes(data)
    with fails(Unreadable, "l.txt", "UTF-8"):
        read_filelist(tmp_path / "l.txt")


@pytest.mark.parametrize("text", ["a,b\n1,2,3\n", "a\n" + "x" * 200_000])
def test_a_row_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    with fails(Unreadable, tmp_path, "row 2"):
        table(tmp_path, text)


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("video,audio,video\na.mp4,w.wav,b.mp4\n")
    with fails(Unreadable, path, "'video'", "twice"):
        read_rows(path)
    assert table(path, path.read_text()) == [(2, {"video": "b.mp4", "audio": "w.wav"})]  # of somebody else's data


def test_pairs_in_utf_16(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes("häuser/1 b/2\r\n".encode("utf-16"))
    assert read_filelist(tmp_path / "l.txt")[0].sound == "häuser/1"
