"""Which videos are to be prepared, who speaks in them, and what their clips will be called."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import NoData, NotFound, Unwritable

from .folders import VIDEO_SUFFIXES, files_below
from .listed import rows_of
from .own_videos import speaker_of
from .splits import is_held_out

JOINT = "__"  # between the folders of a video's path in the name of its clip


@dataclass(frozen=True)
class Source:
    """One video and where its clips go.

    name     as the report calls it
    target   the clip of a video that is framed already; else its name goes on with __000, __001, ... for each clip
    framed   a face crop framed like VoxCeleb2's, which becomes one clip as it is
    """

    video: Path
    name: str
    speaker: str
    target: Path
    framed: bool

    def numbered(self, number: int) -> Path:
        """Where the clip of this number goes."""
        return self.target.with_name(f"{self.target.stem}{JOINT}{number:03d}.npz")


def listed(listing: Path, output: Path) -> list[Source]:
    """The face crops of a CSV list with the columns file (relative to the list), split and speaker.

    A clip is called after its file, and after the folders between that and one called like the speaker:
    id00012/21Uxsk56VDQ/00001.mp4 becomes id00012/21Uxsk56VDQ__00001.npz.  Raises BadInput if a row lacks a value, or
    two would become the same clip.
    """
    return _distinct(
        listing,
        (
            Source(
                listing.parent / row["file"],
                row["file"],
                row["speaker"],
                output / row["split"] / row["speaker"] / f"{_title(row['file'], row['speaker'])}.npz",
                framed=True,
            )
            for row in rows_of(listing)
        ),
    )


def found(folder: Path, output: Path, held_out: float) -> list[Source]:
    """All videos below a folder.

    Who speaks is taken from the first folder on the way to a video, or from its file name if there is none: what shows
    one person belongs into one folder.  A share of the speakers, chosen by a hash of their names, is the split test.
    Raises BadInput if there is no video, or two would become the same clips.
    """
    if not folder.is_dir():
        raise NotFound(f"--videos {folder}: no such folder; check the path")
    names = sorted(files_below(folder, VIDEO_SUFFIXES))
    if not names:
        raise NoData(f"--videos {folder}: no video below it; known endings: {', '.join(sorted(VIDEO_SUFFIXES))}")
    sources = []
    for name in names:
        speaker = speaker_of(name)
        split = "test" if is_held_out(speaker, held_out) else "train"
        target = output / split / speaker / f"{_title(name, speaker)}.npz"
        sources.append(Source(folder / name, name, speaker, target, framed=False))
    return _distinct(folder, sources)


def _title(file: str, speaker: str) -> str:
    """The file's name without its ending, after the folders between the speaker's and it."""
    parts = PurePosixPath(Path(file).as_posix()).with_suffix("").parts
    folders = parts[:-1]
    below = folders[folders.index(speaker) + 1 :] if speaker in folders else ()
    return JOINT.join((*below, parts[-1]))


def _distinct(origin: Path, sources: Iterable[Source]) -> list[Source]:
    owners: dict[Path, Source] = {}
    for source in sources:
        other = owners.setdefault(source.target, source)
        if other.video != source.video:
            raise Unwritable(
                f"{origin}: {other.video} and {source.video} would both become {source.target}; rename one"
            )
    return list(owners.values())
