"""Which result is held against which real video."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import BadInput, NoData, NotFound
from dataset.filelist import Pair, locate, read_filelist
from dataset.folders import VIDEO_SUFFIXES, files_below

ENDINGS = (".mp4", *sorted(VIDEO_SUFFIXES - {".mp4"}))


@dataclass(frozen=True)
class Case:
    """One line of a list: the result that shows `real` saying `sound`.

    result  None if there is none; real: None if it is not there, or the sound's file is not
    sound   the file whose words are said; None if the result's own sound has to do
    looked  where the result was looked for
    """

    name: str
    real: Path | None
    result: Path | None
    sound: Path | None
    looked: Path


def from_folder(real: Path, results: Path) -> list[Case]:
    """A case for every video below `real`; its result has the same path below `results`, whatever its ending.

    Raises BadInput if there is no video.
    """
    _check(results)
    if not real.is_dir():
        raise NotFound(f"--real {real}: no such folder or list; check the path")
    names = sorted(files_below(real, VIDEO_SUFFIXES))
    if not names:
        raise NoData(f"--real {real}: no video below it; known endings: {', '.join(ENDINGS)}")
    stems = [(name, name.rpartition(".")[0]) for name in names]
    return [Case(stem, real / name, _found(results, [stem]), None, results / f"{stem}.mp4") for name, stem in stems]


def from_list(listing: Path, root: Path, results: Path) -> list[Case]:
    """A case for every line "sound video" of a list, whose names are paths below `root` without endings.

    The result is called as `result_name` says, or, where sound and video are the same, like the video.
    Raises BadInput if the list is none.
    """
    _check(results)
    if not root.is_dir():
        raise NotFound(f"--root {root}: no such folder; give the one that the names in {listing} are below of")
    return [_case(pair, root, results) for pair in read_filelist(listing)]


def result_name(pair: Pair) -> str:
    """What generate.py calls the result of a line, without ending: SOUND_VIDEO with dots for slashes."""
    return "_".join(path.replace("/", ".") for path in (pair.sound, pair.video))


def _case(pair: Pair, root: Path, results: Path) -> Case:
    own = pair.sound == pair.video
    name = pair.video if own else f"{pair.video} says {pair.sound}"
    stems = [result_name(pair), *([pair.video] if own else [])]
    real, sound = _located(root, pair.video), _located(root, pair.sound)
    both = real is not None and sound is not None
    return Case(name, real if both else None, _found(results, stems), sound, results / f"{stems[-1]}.mp4")


def _located(root: Path, name: str) -> Path | None:
    try:
        return locate(root, name)
    except BadInput:
        return None


def _found(results: Path, stems: list[str]) -> Path | None:
    places = (results / f"{stem}{ending}" for stem in stems for ending in ENDINGS)
    return next((place for place in places if place.is_file()), None)


def _check(results: Path) -> None:
    if not results.is_dir():
        raise NotFound(f"--fake {results}: no such folder; give the one that holds the results")
