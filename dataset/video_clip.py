"""A short video as footage, by random access: only the frames that are asked for are decoded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from audio import FilterBanks, Mel, read_filterbanks, read_mel
from core.errors import BadInput
from face_detection import Box, cut
from video import VideoInfo, pick_frames, probe

Framing = Callable[[int, int], Box]
"""(height, width) of a video -> where the face is in all of it."""

LONGEST = 300  # seconds; the whole sound is decoded for every sample, which a long video makes slow
KEPT = 16  # clips whose sound stays in memory, in each process: 3 MB of 8-second clips, 123 MB of the longest


@dataclass(frozen=True, slots=True)
class VideoClip:
    """One video that shows one face at one place, with its own sound, at its own rate.

    Raises BadInput, when anything but name and speaker is asked for, if it has no pictures or sound that can be read.
    """

    path: Path
    name: str
    speaker: str
    framing: Framing
    size: int

    @property
    def amount(self) -> None:
        """A million files are not opened to learn how long they are."""

    def __len__(self) -> int:
        return _opened(self.path)[0].frames

    @property
    def fps(self) -> Fraction:
        return _opened(self.path)[0].fps

    @property
    def mel(self) -> Mel:
        return _opened(self.path)[1]

    @property
    def banks(self) -> FilterBanks:
        _opened(self.path)  # refuses one that is too long
        return _banks(self.path)

    def pictures(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """u8 [len(numbers), size, size, 3] RGB: the frames cut at the framing.  IndexError beyond the last."""
        info, _ = _opened(self.path)
        if not all(0 <= number < info.frames for number in numbers):
            raise IndexError(f"{self.path} has frames 0..{info.frames - 1}, not all of {list(numbers)}")
        box = self.framing(info.height, info.width)
        rising = sorted(set(numbers))
        faces = np.stack([cut(frame, box, self.size) for frame in pick_frames(self.path, rising)])
        return np.asarray(faces[np.searchsorted(rising, numbers)], np.uint8)


@lru_cache(maxsize=KEPT)
def _opened(path: Path) -> tuple[VideoInfo, Mel]:
    info = probe(path)
    if info.seconds > LONGEST:
        raise BadInput(
            f"{path}: lasts {float(info.seconds):.0f} s, too long to be read at random;"
            " cut it into clips with python -m dataset.prepare --videos"
        )
    return info, read_mel(path)


@lru_cache(maxsize=KEPT)
def _banks(path: Path) -> FilterBanks:
    return read_filterbanks(path)


@dataclass(frozen=True)
class VideoTree(Sequence[VideoClip]):
    """Many clips below one folder, of which only the names are kept: 100 bytes a clip.

    names: paths below `root`, each of a video.  speaker_of: who speaks, by that path.
    """

    root: Path
    names: Sequence[str]
    speaker_of: Callable[[str], str]
    framing: Framing
    size: int

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> VideoClip: ...
    @overload
    def __getitem__(self, place: slice) -> "VideoTree": ...
    def __getitem__(self, place: int | slice) -> "VideoClip | VideoTree":
        if isinstance(place, slice):
            return VideoTree(self.root, self.names[place], self.speaker_of, self.framing, self.size)
        name = self.names[place]
        return VideoClip(self.root / name, name, self.speaker_of(name), self.framing, self.size)

    def __iter__(self) -> Iterator[VideoClip]:
        return (self[place] for place in range(len(self)))
