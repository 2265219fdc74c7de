"""LRW (Chung and Zisserman 2016) as it is published: WORD/train/WORD_00001.mp4, 256x256 pixels around the mouth.

The folder lipread_mp4 of the publication may stand above the words.
"""

from pathlib import Path

from face_detection import Box
from video import VideoInfo

from .folders import files, subfolders
from .video_clip import VideoTree

PREFIXES = ("", "lipread_mp4")
PUBLISHED = {"train": "train", "seen": "val", "test": "test"}
"""Our splits and the folders.  Who speaks is not published, so test may show speakers of train, as seen may."""
MP4 = frozenset({".mp4"})
MOUTH = (127 / 256, 163 / 256)
"""(x, y) of the mouth, as shares: the middle of what lip readers cut out of LRW, rows 115..210, columns 79..174."""
HEIGHT = 164 / 256
"""Of the face from forehead to chin: our estimate, not measured on LRW, whose papers do not say how they scale."""


def is_lrw(root: Path) -> bool:
    """Whether words stand in this folder, or in lipread_mp4 below it."""
    return any(_words(root / prefix) for prefix in PREFIXES)


def lrw(root: Path, size: int) -> dict[str, VideoTree]:
    """The clips of each split that has any."""
    level = next(prefix for prefix in PREFIXES if _words(root / prefix))
    splits = {}
    for split, folder in PUBLISHED.items():
        places = [f"{level}/{word}/{folder}".lstrip("/") for word in _words(root / level)]
        names = [f"{place}/{name}" for place in places if (root / place).is_dir() for name in files(root / place, MP4)]
        if names:
            splits[split] = VideoTree(root, names, _speaker_of, _face, size)
    return splits


def _face(info: VideoInfo) -> Box:
    return lrw_box(info.height, info.width)


def lrw_box(height: int, width: int) -> Box:
    """The face in an LRW video, framed as `voxceleb2_box` frames VoxCeleb2's.

    Our choice: of the aspect of VoxCeleb2's crop (124 to 158), with the mouth, whose place in LRW is known, as far down
    in it (0.775 of its height).
    """
    tall = HEIGHT * height
    x, y = MOUTH[0] * width, MOUTH[1] * height
    return Box.centred(x, y + (0.5 - 0.775) * tall, tall * 124 / 158, tall)


def _words(level: Path) -> list[str]:
    """The folders that have LRW's folders in them and its names."""
    if not level.is_dir():
        return []
    return [word for word in subfolders(level) if word == word.upper() and _is_word(level / word)]


def _is_word(folder: Path) -> bool:
    return any((folder / split).is_dir() for split in PUBLISHED.values())


def _speaker_of(name: str) -> str:
    """Who speaks is not known, so that every clip counts as a speaker of its own: its name."""
    return name.rpartition("/")[2]
