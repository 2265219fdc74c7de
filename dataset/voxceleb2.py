"""VoxCeleb2 (Chung et al. 2018) as it is published: id00012/VIDEO/00001.mp4, face crops with their sound.

The folders dev/mp4 and test/mp4 of the publication may stand above the ids, or one of them, or neither.
"""

import re
from pathlib import Path

from .folders import files, subfolders
from .framing import voxceleb2_face
from .splits import is_held_out
from .video_clip import VideoTree

SPEAKER = re.compile(r"id\d+")
PREFIXES = ("", "mp4", "dev", "dev/mp4", "test", "test/mp4")
HELD_OUT = 0.02  # of the ids, where there is no folder test: as many as the publication keeps, 118 of 6112
MP4 = frozenset({".mp4"})


def is_voxceleb2(root: Path) -> bool:
    """Whether ids stand in this folder, or where the publication puts them below it."""
    return bool(_levels(root))


def voxceleb2(root: Path, size: int) -> dict[str, VideoTree]:
    """The clips of each split, train and test, that has any.  Speakers are never in both.

    With a folder test beside another one, those are the splits of the publication; else a hash of the id decides.
    """
    names: dict[str, list[str]] = {"train": [], "test": []}
    levels = _levels(root)
    published = any(_is_test(level) for level in levels) and not all(_is_test(level) for level in levels)
    for level in levels:
        for speaker in _speakers(root / level):
            is_test = _is_test(level) if published else is_held_out(speaker, HELD_OUT)
            names["test" if is_test else "train"] += _clips(root, f"{level}/{speaker}" if level else speaker)
    return {split: VideoTree(root, files, _speaker_of, voxceleb2_face, size) for split, files in names.items() if files}


def _levels(root: Path) -> list[str]:
    """The folders below `root`, "" for itself, in which ids stand."""
    return [prefix for prefix in PREFIXES if (root / prefix).is_dir() and _speakers(root / prefix)]


def _is_test(level: str) -> bool:
    return level.startswith("test")


def _speakers(level: Path) -> list[str]:
    return [name for name in subfolders(level) if SPEAKER.fullmatch(name)]


def _clips(root: Path, speaker: str) -> list[str]:
    videos = [f"{speaker}/{video}" for video in subfolders(root / speaker)]
    return [f"{video}/{clip}" for video in videos for clip in files(root / video, MP4)]


def _speaker_of(name: str) -> str:
    return name.split("/")[-3]
