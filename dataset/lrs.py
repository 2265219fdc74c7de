"""LRS2 (Chung et al. 2017) and LRS3 (Afouras et al. 2018) as they are published: face crops with their sound.

    LRS3   pretrain, trainval and test, in each ID/00001.mp4; an ID is a talk at TED.  224 x 224 pixels
    LRS2   mvlrs_v1/main/ID/00001.mp4 and mvlrs_v1/pretrain/ID/00001.mp4; train.txt, val.txt and test.txt list what of
           main is which, a line "ID/00001" or "ID/00001 NF".  160 x 160 pixels

Neither says who speaks.  An ID counts as a speaker: of LRS3 the same person may have given two talks.
The face is cut by the margins of VoxCeleb2: the same group cut all of them by the same program (Chung and Zisserman
2016), and in 18 samples of LRS3 faces are 154 to 161 pixels high, where those margins have 158.  Of LRS2 none was at
hand.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from core.errors import NotFound, Unreadable
from core.rows import read_text

from .folders import files, subfolders
from .framing import voxceleb2_face
from .video_clip import VideoTree

LRS3 = {"train": ("pretrain", "trainval"), "test": ("test",)}
"""Our splits and the folders of the publication."""
LRS3_ABOVE = ("", "lrs3", "LRS3", "lrs3_v0.4")
LRS2_ABOVE = ("", "mvlrs_v1", "LRS2/mvlrs_v1", "lrs2/mvlrs_v1")
LRS2_LISTS = {"train": "train.txt", "seen": "val.txt", "test": "test.txt"}
"""Our splits and the lists of the publication; what of pretrain is not in pretrain.txt, if that is there, is left out.
"""
NUMBERED = re.compile(r"\d{5}\.mp4")
MP4 = frozenset({".mp4"})


def is_lrs3(root: Path) -> bool:
    """Whether the folders of LRS3 stand in this folder, or in lrs3 below it, with numbered clips below an ID."""
    return any(_is_lrs3(root / above) for above in LRS3_ABOVE)


def lrs3(root: Path, size: int) -> dict[str, VideoTree]:
    """The clips of each split that has any: pretrain and trainval are for training."""
    above = next(one for one in LRS3_ABOVE if _is_lrs3(root / one))
    splits = {split: [name for part in parts for name in _clips(root, above, part)] for split, parts in LRS3.items()}
    return {split: _tree(root, names, size) for split, names in splits.items() if names}


def is_lrs2(root: Path) -> bool:
    """Whether main stands in this folder, or in mvlrs_v1 below it, with numbered clips below an ID."""
    return any(_has_clips(root / above / "main") for above in LRS2_ABOVE)


def lrs2(root: Path, size: int) -> dict[str, VideoTree]:
    """The clips that each list of the publication names, and for training those of pretrain.

    Raises BadInput if the list of what is for training is not there, or a line of one names no clip.
    """
    above = next(one for one in LRS2_ABOVE if _has_clips(root / one / "main"))
    lists = {split: _list(root, above, name) for split, name in LRS2_LISTS.items()}
    if lists["train"] is None:
        raise NotFound(
            f"{root}: looks like LRS2, but its lists are missing; put train.txt, val.txt and test.txt of the"
            " publication beside mvlrs_v1"
        )
    splits = {
        split: [_below(above, f"main/{name}.mp4") for name in _listed(path)] for split, path in lists.items() if path
    }
    pretrain = _list(root, above, "pretrain.txt")
    splits["train"] += (
        [_below(above, f"pretrain/{name}.mp4") for name in _listed(pretrain)]
        if pretrain is not None and (root / above / "pretrain").is_dir()
        else list(_clips(root, above, "pretrain"))
    )
    return {split: _tree(root, names, size) for split, names in splits.items() if names}


def _tree(root: Path, names: list[str], size: int) -> VideoTree:
    return VideoTree(root, names, _speaker_of, voxceleb2_face, size)


def _is_lrs3(level: Path) -> bool:
    return any(_has_clips(level / part) for parts in LRS3.values() for part in parts)


def _has_clips(part: Path) -> bool:
    """Whether the first folder in here that holds anything numbered holds clips."""
    ids = subfolders(part) if part.is_dir() else []
    return any(NUMBERED.fullmatch(name) for one in ids[:3] for name in files(part / one, MP4))


def _clips(root: Path, above: str, part: str) -> Iterator[str]:
    folder = root / above / part
    for one in subfolders(folder) if folder.is_dir() else []:
        yield from (_below(above, f"{part}/{one}/{name}") for name in files(folder / one, MP4))


def _list(root: Path, above: str, name: str) -> Path | None:
    """A list of the publication: beside mvlrs_v1, or in it."""
    places = [root / name, root / above / name, (root / above).parent / name]
    return next((place for place in places if place.is_file()), None)


def _listed(path: Path) -> list[str]:
    names = [line.split()[0] for line in read_text(path, "a list of LRS2").split("\n") if line.strip()]
    for name in names:
        if not re.fullmatch(r"\w+/\d+", name, re.ASCII):
            raise Unreadable(f"{path}: {name!r} is no clip such as 6330311066473698535/00011; take the published list")
    return names


def _below(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name


def _speaker_of(name: str) -> str:
    return name.split("/")[-2]
