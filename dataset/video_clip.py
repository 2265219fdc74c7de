"""A short video as footage, by random access: only the frames that are asked for are decoded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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

from .framing import FixedBox

LONGEST = 300  # seconds; the whole sound is decoded for every sample, which a long video makes slow
KEPT = 16  # clips whose sound stays in memory, in each process: 3 MB of 8-second clips, 123 MB of the longest


@dataclass(frozen=True, slots=True)
class VideoClip:
    """One video that shows one face at one place, with its own sound, at its own rate.

    heard: the file that has its sound, where that is another one.
    Raises BadInput, when anything but name and speaker is asked for, if it has no pictures or sound that can be read.
    """

    path: Path
    name: str
    speaker: str
    framing: FixedBox
    size: int
    heard: Path | None = None

    @property
    def amount(self) -> None:
        """A million files are not opened to learn how long they are."""

    def __len__(self) -> int:
        return self._opened[0].frames

    @property
    def fps(self) -> Fraction:
        return self._opened[0].fps

    @property
    def mel(self) -> Mel:
        return self._opened[1]

    @property
    def banks(self) -> FilterBanks:
        assert self._opened  # refuses one that is too long
        return _banks(self.sound)

    @property
    def sound(self) -> Path:
        """The file that has its sound."""
        return self.heard or self.path

    @property
    def box(self) -> Box:
        """Where the face is."""
        return self.framing(self._opened[0])

    @property
    def _opened(self) -> tuple[VideoInfo, Mel]:
        return _opened(self.path, self.sound)

    def pictures(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """u8 [len(numbers), size, size, 3] RGB: the frames cut at the framing.  IndexError beyond the last."""
        info, _ = self._opened
        if not all(0 <= number < info.frames for number in numbers):
            raise IndexError(f"{self.path} has frames 0..{info.frames - 1}, not all of {list(numbers)}")
        box = self.framing(info)
        rising = sorted(set(numbers))
        faces = np.stack([cut(frame, box, self.size) for frame in pick_frames(self.path, rising)])
        return np.asarray(faces[np.searchsorted(rising, numbers)], np.uint8)


@lru_cache(maxsize=KEPT)
def _opened(path: Path, sound: Path) -> tuple[VideoInfo, Mel]:
    info = probe(path)
    if info.seconds > LONGEST:
        raise BadInput(
            f"{path}: lasts {float(info.seconds):.0f} s, too long to be read at random;"
            " cut it into clips with python -m dataset.prepare --videos"
        )
    return info, read_mel(sound)


@lru_cache(maxsize=KEPT)
def _banks(path: Path) -> FilterBanks:
    return read_filterbanks(path)


@dataclass(frozen=True)
class VideoTree(Sequence[VideoClip]):
    """Many clips below one folder, of which only the names are kept: 100 bytes a clip.

    names: paths below `root`, each of a video.  speaker_of: who speaks, by that path.  heard_of: the file that has the
    sound of a video, None for the video itself.
    """

    root: Path
    names: Sequence[str]
    speaker_of: Callable[[str], str]
    framing: FixedBox
    size: int
    heard_of: Callable[[Path], Path | None] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> VideoClip: ...
    @overload
    def __getitem__(self, place: slice) -> "VideoTree": ...
    def __getitem__(self, place: int | slice) -> "VideoClip | VideoTree":
        if isinstance(place, slice):
            return self.only(self.names[place])
        name = self.names[place]
        path = self.root / name
        sound = self.heard_of(path) if self.heard_of is not None else None
        return VideoClip(path, name, self.speaker_of(name), self.framing, self.size, sound)

    def __iter__(self) -> Iterator[VideoClip]:
        return (self[place] for place in range(len(self)))

    def only(self, names: Sequence[str]) -> "VideoTree":
        """Some of them."""
        return replace(self, names=names)

    def speakers(self) -> Iterator[str]:
        """Who speaks in each."""
        return map(self.speaker_of, self.names)
