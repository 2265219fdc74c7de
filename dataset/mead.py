"""MEAD (Wang et al. 2020) as it is published: M003/video/front/angry/level_1/001.mp4, an actor in a studio.

The sound is M003/audio/angry/level_1/001.m4a (from memory; the videos are as its users write them), taken to begin with
the pictures; where there is no such file, the video's own is heard.  Seven cameras see an actor: only the one in front
is read.  The face is looked for.
"""

import re
from pathlib import Path

from .folders import files_below, subfolders
from .framing import found_face
from .splits import is_held_out
from .video_clip import VideoTree

ACTOR = re.compile(r"[MW]\d{3}")
ABOVE = ("", "MEAD", "mead")
FRONT = "video/front"
SOUNDS = (".m4a", ".wav", ".aac")
MP4 = frozenset({".mp4"})
HELD_OUT = 0.1  # of the actors; no split is published


def is_mead(root: Path) -> bool:
    """Whether actors stand in this folder, or in MEAD below it."""
    return any(_actors(root / above) for above in ABOVE)


def mead(root: Path, size: int) -> dict[str, VideoTree]:
    """The clips of each split, train and test, that has any.  A hash of the actor's name decides."""
    above = next(one for one in ABOVE if _actors(root / one))
    names: dict[str, list[str]] = {"train": [], "test": []}
    for actor in _actors(root / above):
        folder = f"{above}/{actor}/{FRONT}/".lstrip("/")
        names["test" if is_held_out(actor, HELD_OUT) else "train"] += files_below(root / folder, MP4, folder)
    trees = {split: VideoTree(root, files, _actor_of, found_face, size, _sound) for split, files in names.items()}
    return {split: tree for split, tree in trees.items() if tree}


def _actors(level: Path) -> list[str]:
    there = subfolders(level) if level.is_dir() else []
    return [name for name in there if ACTOR.fullmatch(name) and (level / name / FRONT).is_dir()]


def _actor_of(name: str) -> str:
    return next(part for part in name.split("/") if ACTOR.fullmatch(part))


def _sound(video: Path) -> Path | None:
    """audio/angry/level_1/001.m4a for video/front/angry/level_1/001.mp4, if it is there."""
    parts = video.parts
    place = len(parts) - 1 - parts[::-1].index("front")
    audio = Path(*parts[: place - 1], "audio", *parts[place + 1 :])
    return next((path for ending in SOUNDS if (path := audio.with_suffix(ending)).is_file()), None)
