"""Test lists of Diff2Lip and Wav2Lip: in each line the sound and the video that shall say it.

    id04862/0zJh2FMTaDE/00001 id00081/2xYrsnvtUWc/00001       columns apart by one blank, as in the original
    my clips/a b<TAB>my clips/c                               or by a TAB, where a path has a blank in it

Paths are relative to a data root and have no ending.  A line with a TAB is split there and nowhere else; a line without
one must have exactly one blank.  Empty lines say nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.atomic import atomic
from core.errors import NoData, NotFound, Unreadable
from core.rows import read_text

from .folders import VIDEO_SUFFIXES


@dataclass(frozen=True)
class Pair:
    """The video that shall say the sound.  Both: relative paths below a data root, without ending, / between parts.

    ValueError if one is empty, absolute or leads out of the root.
    """

    sound: str
    video: str

    def __post_init__(self) -> None:
        for path in (self.sound, self.video):
            parts = PurePosixPath(path).parts
            if not parts or path.startswith("/") or ".." in parts or set(path) & set("\t\r\n"):
                raise ValueError(f"{path!r} is no path below a data root")

    def line(self) -> str:
        """The original's form where it can hold the paths, else the TAB form."""
        blank = any(" " in path for path in (self.sound, self.video))
        return ("\t" if blank else " ").join((self.sound, self.video))


def read_filelist(path: Path) -> list[Pair]:
    """The pairs of a list, in order.  Raises BadInput, with the number of the line, if one is no pair."""
    text = read_text(path, "a text file")
    pairs = [_pair(line, f"{path}, line {number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not pairs:
        raise NoData(f"{path}: no pair in it; each line holds a sound and a video")
    return pairs


def write_filelist(path: Path, pairs: Iterable[Pair]) -> int:
    """Writes a list that `read_filelist` reads back, whole or not at all; returns how many pairs there were."""
    lines = [pair.line() + "\n" for pair in pairs]
    with atomic(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", newline="\n")
    return len(lines)


def locate(root: Path, name: str) -> Path:
    """The video that a name of a list means: root/NAME.mp4 (or another ending), or for a name WORD_00001 of LRW's the
    one at root/WORD/test/.  Raises BadInput if there is none.
    """
    word = name.rpartition("_")[0]
    places = [root / name, root / word / "test" / name] if word and "/" not in name else [root / name]
    for place in places:
        for ending in (".mp4", *sorted(VIDEO_SUFFIXES)):
            file = place.with_name(place.name + ending)
            if file.is_file():
                return file
    raise NotFound(f"{root / name}.mp4: no such file; check the data root and the list")


def _pair(line: str, where: str) -> Pair:
    columns = line.split("\t") if "\t" in line else line.rstrip().split(" ")
    try:
        sound, video = (column.strip() for column in columns)
        return Pair(sound, video)
    except ValueError as problem:
        raise Unreadable(
            f"{where}: not a sound and a video with one blank between them; put a TAB between paths that have blanks"
        ) from problem
