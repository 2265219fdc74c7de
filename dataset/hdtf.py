"""HDTF (Zhang et al. 2021): clips called after its lists, WDA_NancyPelosi0_000.mp4, however deep in the folder.

What is published are lists of addresses, times and windows, with which one downloads and cuts; the names of what comes
out are those of the lists, with the number of the clip, as its users write them.  RD is for radio, WDA and WRA for the
weekly addresses of either party.  Cuts differ, so the face is looked for.
"""

import re
from pathlib import Path, PurePosixPath

from .folders import VIDEO_SUFFIXES, files_below
from .framing import found_face
from .splits import is_held_out
from .video_clip import VideoTree

NAME = re.compile(r"((?:RD|WDA|WRA)_[A-Za-z]+)\d*_.*\.\w+")
HELD_OUT = 0.05  # of the speakers; no split is published


def is_hdtf(root: Path) -> bool:
    """Whether the first video in this folder, or below it, has a name of HDTF's."""
    first = next(files_below(root, VIDEO_SUFFIXES), None) if root.is_dir() else None
    return first is not None and NAME.fullmatch(PurePosixPath(first).name) is not None


def hdtf(root: Path, size: int) -> dict[str, VideoTree]:
    """The clips of each split, train and test, that has any.  A hash of the speaker's name decides.

    A number after a name counts the videos of one person; those of the radio, whose speakers are not said, count as
    one person's.
    """
    names: dict[str, list[str]] = {"train": [], "test": []}
    for name in files_below(root, VIDEO_SUFFIXES):
        if NAME.fullmatch(PurePosixPath(name).name):
            names["test" if is_held_out(_speaker_of(name), HELD_OUT) else "train"].append(name)
    return {split: VideoTree(root, files, _speaker_of, found_face, size) for split, files in names.items() if files}


def _speaker_of(name: str) -> str:
    match = NAME.fullmatch(PurePosixPath(name).name)
    assert match is not None, "other names are left out"
    return match[1]
