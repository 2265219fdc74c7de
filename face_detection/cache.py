"""Sightings on disk, so that a second run over the same video need not look again.

    FOLDER / key of video, detector and settings / FIRST-STOP.npz      one file per block, 4 to 9 kB on real clips

The key is a hash of all bytes of the video: hashing costs less than a hundredth of decoding, and a file that was
renamed, copied or touched is still the same video.  Files appear whole by a rename, and one that cannot be read, or is
not what its name says, counts as absent: any number of processes may read and write at once.
"""

import hashlib
import logging
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from core.atomic import atomic, remove_unfinished
from core.errors import BadInput, Unreadable
from core.npz import UNREADABLE, check_arrays
from face_detection.searching import BLOCK, LONGEST, STILL, STRIDE
from face_detection.sightings import Sightings

VERSION = 3
"""Raised whenever the same video, detector and settings would give other sightings (with other weights that correct
boxes, too), or other arrays are stored."""

_log = logging.getLogger(__name__)


def default_folder() -> Path:
    """$XDG_CACHE_HOME/lip-sync, or ~/.cache/lip-sync."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lip-sync"


def content_hash(video: Path) -> str:
    """32 hexadecimal digits of all bytes of a file.  BadInput if it cannot be read."""
    try:
        with video.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise Unreadable(f"{video}: cannot be read ({error.strerror}); check the path and its permissions") from error


class SightingCache:
    """The sightings of one video by one detector."""

    def __init__(self, folder: Path, video: Path, detector: str) -> None:
        settings = f"{VERSION} {content_hash(video)} {detector} {LONGEST} {STRIDE} {STILL} {BLOCK}"
        self.folder = folder / hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()

    def load(self, start: int, stop: int) -> Sightings | None:
        """The block of frames start..stop-1, if it is there and whole."""
        path = self._path(start, stop)
        try:
            check_arrays(path)
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                block = Sightings(int(stored["start"]), **{name: stored[name] for name in stored if name != "start"})
        except FileNotFoundError:
            return None
        except UNREADABLE as problem:
            _log.info("%s is damaged (%s) and not used", path, problem)
            return None
        return block if (block.start, block.stop) == (start, stop) else None

    def store(self, block: Sightings) -> None:
        """Keeps a block; a place that cannot be written is said in the log, and no more than that."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_unfinished(self.folder, seconds=3600)
            with atomic(self._path(block.start, block.stop)) as path, path.open("wb") as file:
                np.savez(file, **asdict(block))
        except (OSError, BadInput) as problem:
            _log.info("the detections are not kept (%s)", problem)

    def _path(self, start: int, stop: int) -> Path:
        return self.folder / f"{start:08d}-{stop:08d}.npz"
