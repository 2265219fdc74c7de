"""Looking through large folders: a million files in seconds, in a fixed order."""

import os
from collections.abc import Iterator
from pathlib import Path

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v", ".ts"})


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; hidden ones left out."""
    with os.scandir(folder) as items:
        return sorted(item.name for item in items if not item.name.startswith(".") and item.is_dir())


def files(folder: Path, suffixes: frozenset[str]) -> list[str]:
    """The names of the files in a folder that have one of these endings (in any case), sorted; hidden ones left out."""
    with os.scandir(folder) as items:
        return sorted(item.name for item in items if not item.name.startswith(".") and _ends(item.name, suffixes))


def files_below(folder: Path, suffixes: frozenset[str], prefix: str = "") -> Iterator[str]:
    """The paths of such files below a folder, however deep, with / between their parts; hidden folders left out."""
    yield from (prefix + name for name in files(folder, suffixes))
    for name in subfolders(folder):
        yield from files_below(folder / name, suffixes, f"{prefix}{name}/")


def _ends(name: str, suffixes: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122  a Path for each of a million files takes long
