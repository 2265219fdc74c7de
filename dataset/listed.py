"""Face crops framed like VoxCeleb2's that a CSV lists, with the columns file (relative to it), split and speaker."""

from pathlib import Path

from core.errors import BadValue, NoData
from core.rows import read_text, table

from .framing import voxceleb2_face
from .splits import SPLITS
from .video_clip import VideoTree

COLUMNS = ("file", "split", "speaker")
HEAD = 4096  # bytes in which the header line of a list ends


def is_listed(data: Path) -> bool:
    """Whether it is such a CSV, or a folder with one right in it."""
    return _listing(data) is not None


def rows_of(listing: Path) -> list[dict[str, str]]:
    """The rows of a list.  BadInput if there is none, one lacks a value, is in an unknown split, or has a file or a
    speaker that cannot be called so."""
    numbered = table(listing, read_text(listing))
    rows = [row for _, row in numbered]
    if not rows or not all(row.get(column) for row in rows for column in COLUMNS):
        raise NoData(f"{listing}: needs at least one row, and file, split and speaker in every one")
    for number, row in numbered:
        where, speaker = f"{listing}, row {number}", row["speaker"]
        if row["split"] not in SPLITS:
            raise BadValue(f"{where}: {row['file']} is in a split {row['split']}; use one of {', '.join(SPLITS)}")
        if speaker == ".." or Path(speaker).name != speaker:
            raise BadValue(f"{where}: a speaker is the name of one folder, not {speaker}; leave out what is a path")
        if not Path(row["file"]).name:
            raise BadValue(f"{where}: {row['file']} is a folder; give the name of a file in it")
    return rows


def listed_clips(data: Path, size: int) -> dict[str, VideoTree]:
    """The clips of each split that has any."""
    listing = _listing(data)
    assert listing is not None, "asked for what is one"
    rows = rows_of(listing)
    speakers = {row["file"]: row["speaker"] for row in rows}
    names = {split: [row["file"] for row in rows if row["split"] == split] for split in SPLITS}
    return {
        split: VideoTree(listing.parent, files, speakers.__getitem__, voxceleb2_face, size)
        for split, files in names.items()
        if files
    }


def _listing(data: Path) -> Path | None:
    places = sorted(data.glob("*.csv")) if data.is_dir() else [data] if data.suffix.lower() == ".csv" else []
    return next((path for path in places if path.is_file() and _has_columns(path)), None)


def _has_columns(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD).decode("utf-8-sig", errors="replace").lstrip("\n").split("\n", 1)[0]
    return all(column in head for column in COLUMNS)
