"""The shapes that training data has where it was published or made, and which of them a folder has."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import BadInput, NoData, NotFound

from .filelist import read_filelist
from .footage import Footage
from .hdtf import hdtf, is_hdtf
from .listed import is_listed, listed_clips
from .lrs import is_lrs2, is_lrs3, lrs2, lrs3
from .lrw import is_lrw, lrw
from .mead import is_mead, mead
from .own_videos import has_videos, own_videos
from .pack import is_pack, packed
from .prepared import is_prepared, prepared
from .shards import has_shards, sharded
from .video_clip import VideoTree
from .voxceleb2 import is_voxceleb2, voxceleb2

NOTES = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """A shape of data.  Nothing but the first clip is decoded to tell it, or to find what is in it.

    name, looks    what it is called, and what stands in such a folder
    fits           whether a folder, or a file, is one
    clips          of (folder, size), by split
    anonymous      who speaks is not known, so that nobody can be kept apart
    sized          its faces have a size already, which 0 leaves as it is
    """

    name: str
    looks: str
    fits: Callable[[Path], bool]
    clips: Callable[[Path, int], Mapping[str, Sequence[Footage]]]
    anonymous: bool = False
    sized: bool = False

    def read(self, data: Path, size: int) -> Mapping[str, Sequence[Footage]]:
        """The clips of each split that has any, no speaker of test among those for training."""
        splits = self.clips(data, size)
        return splits if self.anonymous else _apart(data, splits)


def _packed(folder: Path, size: int) -> Mapping[str, Sequence[Footage]]:
    return packed(folder, size, "box")


VIDEOS = Layout("videos", "SPEAKER/ANYTHING.mp4", has_videos, own_videos)
PACK = Layout("a pack", "piece-000/SPLIT/SPEAKER/NAME.mp4", is_pack, _packed)
LAYOUTS = (
    PACK,
    Layout("prepared clips", "SPLIT/SPEAKER/NAME.npz", is_prepared, prepared, sized=True),
    Layout("shards", "train-000000.tar", has_shards, sharded, sized=True),
    Layout("a list of face crops", "NAME.csv with file, split and speaker", is_listed, listed_clips),
    Layout("VoxCeleb2", "id00012/VIDEO/00001.mp4", is_voxceleb2, voxceleb2),
    Layout("LRS3", "trainval/ID/00001.mp4", is_lrs3, lrs3),
    Layout("LRS2", "mvlrs_v1/main/ID/00001.mp4 and train.txt", is_lrs2, lrs2),
    Layout("LRW", "WORD/train/WORD_00001.mp4", is_lrw, lrw, anonymous=True),
    Layout("MEAD", "M003/video/front/angry/level_1/001.mp4", is_mead, mead),
    Layout("HDTF", "WDA_NancyPelosi0_000.mp4", is_hdtf, hdtf),
    VIDEOS,
)
"""In the order in which they are tried."""


def layout_of(data: Path) -> Layout:
    """The first shape that the data has.  Raises BadInput if it has none."""
    if not data.exists():
        raise NotFound(f"{data}: no such folder; check the path of the data")
    for layout in LAYOUTS:
        if layout.fits(data):
            return layout
    if pairs := _pairs(data):
        raise NoData(f"{data}: holds a list of {pairs} pairs and no clips; give the folder that its paths are below")
    known = ", ".join(f"{layout.name} ({layout.looks})" for layout in LAYOUTS)
    raise NoData(f"{data}: holds no clips of a known shape; prepare videos with python -m dataset.prepare --videos,"
                   f" or give one of these: {known}")  # fmt: skip


def _apart(data: Path, found: Mapping[str, Sequence[Footage]]) -> Mapping[str, Sequence[Footage]]:
    """The same, without clips for training of speakers who are kept for measuring: a warning says how many there were.

    What is published or listed as videos is meant; whoever prepared, packed or wrote shards chose the splits.
    """
    train, test = found.get("train"), found.get("test")
    if not isinstance(train, VideoTree) or not isinstance(test, VideoTree):
        return found
    speakers = set(test.speakers())
    names = [name for name, speaker in zip(train.names, train.speakers(), strict=True) if speaker not in speakers]
    if len(names) == len(train):
        return found
    NOTES.warning("%s: %d clips of speakers who are in test as well are not trained on", data, len(train) - len(names))
    return {**found, "train": train.only(names)}


def _pairs(data: Path) -> int:
    """How many pairs the first list of them has that lies there, 0 if there is none."""
    texts = sorted(data.glob("*.txt")) if data.is_dir() else [data] if data.suffix == ".txt" else []
    for text in texts:
        try:
            return len(read_filelist(text))
        except BadInput:
            continue
    return 0
