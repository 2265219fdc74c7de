"""Who speaks when: ranges of time, each with a face and a sound.

A CSV with a header line, or JSON lines, one object each:

    start,end,face,sound
    0,4.5,index:0,anna.wav
    4.0,9,"point:900,300",bert.wav

start and end are times in the result, 12.5 or 1:02.5 (end may be left out: to the end); face is a selector as of --face
(left out: that of --face); sound is a file, relative to the list, that begins at `start` (left out: the sound of
--audio, at its own time).  Ranges may overlap where their faces differ.
"""

from dataclasses import dataclass
from pathlib import Path

from core.errors import BadInput, BadValue, NoData, NotFound
from core.rows import check_columns, read_rows
from core.who import check_face
from lipsync.settings import LONGEST, moment

COLUMNS = ("start", "end", "face", "sound")


@dataclass(frozen=True)
class SpeakerSegment:
    """From start to end, in seconds of the result (None: to the end), this face says this sound.

    sound None: what is said is the sound of the job, at its own time; else the sound begins at `start`.
    """

    start: float
    end: float | None
    face: str
    sound: Path | None

    def __post_init__(self) -> None:
        if not (0 <= self.start <= LONGEST and (self.end is None or self.start < self.end <= LONGEST)):
            raise ValueError(
                f"it lasts from {self.start:g} to {self.end}; a start is 0 or later and an end comes after it"
            )


def read_segments(listing: Path, face: str, audio: Path | None) -> list[SpeakerSegment]:
    """The segments of a list.  Raises BadInput with the row that cannot be used."""
    segments = []
    for number, row in read_rows(listing):
        place = f"{listing}, row {number}"
        check_columns(row, COLUMNS, place)
        try:
            start, end = (moment(row[name]) if row.get(name) else None for name in ("start", "end"))
            sound = listing.parent / row["sound"] if row.get("sound") else None
            segments.append(SpeakerSegment(start or 0.0, end, row.get("face") or face, sound))
            check_face(segments[-1].face)
        except ValueError as problem:
            raise BadValue(f"{place}: {problem}; correct that row") from problem
        except BadValue as problem:
            raise BadValue(f"{place}: {problem}") from problem
        if sound is not None and not sound.exists():
            raise NotFound(f"{place}: there is no file {sound}; check its path, relative to the list")
        if sound is None and audio is None:
            raise NoData(f"{place}: it names no sound; give it one, or pass --audio for all that have none")
    if not segments:
        raise NoData(f"{listing}: it is empty; give one row per stretch of speech")
    return segments


def sounds_of(listing: Path) -> list[Path]:
    """The sounds that a list names, wherever they are; none if it is no list."""
    try:
        return [listing.parent / row["sound"] for _, row in read_rows(listing) if row.get("sound")]
    except BadInput:
        return []
