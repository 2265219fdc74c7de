"""Any short videos of one talking face each; a folder is a speaker.  Longer ones are cut by `dataset.prepare`."""

from pathlib import Path, PurePosixPath

from .folders import VIDEO_SUFFIXES, files_below
from .framing import found_face
from .splits import is_held_out
from .video_clip import VideoTree

HELD_OUT = 0.05  # of the speakers


def has_videos(root: Path) -> bool:
    """Whether there is a video in this folder, or below it."""
    return root.is_dir() and next(files_below(root, VIDEO_SUFFIXES), None) is not None


def own_videos(root: Path, size: int) -> dict[str, VideoTree]:
    """The videos of each split, train and test, that has any.  A hash of the speaker's name decides."""
    names: dict[str, list[str]] = {"train": [], "test": []}
    for name in files_below(root, VIDEO_SUFFIXES):
        names["test" if is_held_out(speaker_of(name), HELD_OUT) else "train"].append(name)
    return {split: VideoTree(root, files, speaker_of, found_face, size) for split, files in names.items() if files}


def speaker_of(name: str) -> str:
    """The first folder on the way to a video, or its file name if there is none."""
    top, below, _ = name.partition("/")
    return top if below else PurePosixPath(name).stem
