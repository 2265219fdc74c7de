"""A prepared folder: one .npz a clip with JPEG faces and the mel as fp16; read with numpy and OpenCV alone.

    folder/SPLIT/SPEAKER/NAME.npz
        faces u8 (the JPEGs, end to end), ends i64 [t], mel f16 [c, 80], seconds f64, fps i64 [2],
        banks f16 [d, 26] (not in older folders)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from audio import FilterBanks, Mel
from core.atomic import atomic
from core.errors import Mismatch, NoData, Unreadable, not_opened
from core.npz import UNREADABLE

from .clip import Clip
from .splits import SPLITS

JPEG_QUALITY = 93
KEPT = 16  # clips whose JPEGs stay in memory, in each process: 5 MB for 20 seconds of 128 px; files are not to change


@dataclass(frozen=True)
class Entry:
    """Where a prepared clip lies, before it is decoded."""

    path: Path
    speaker: str


class Contents(NamedTuple):
    """What a file holds, the pictures still as JPEGs: picture k is faces[ends[k - 1] : ends[k]]."""

    faces: NDArray[np.uint8]
    ends: NDArray[np.int64]
    mel: Mel
    fps: Fraction
    banks: FilterBanks | None

    def pictures(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """u8 [len(numbers), s, s, 3] RGB.  ValueError or cv2.error if one cannot be decoded."""
        starts = np.concatenate([[0], self.ends[:-1]])
        decoded = {k: _picture(self.faces[starts[k] : self.ends[k]]) for k in set(numbers)}
        return np.stack([decoded[k] for k in numbers])


@dataclass(frozen=True)
class PreparedClip:
    """Footage on disk, of which only the pictures that are asked for are decoded.

    size: of its faces, in pixels; 0 for any.
    Raises BadInput, when asked for what is in the file, if that is none of a prepared clip.
    """

    entry: Entry
    size: int

    @property
    def name(self) -> str:
        return self.entry.path.stem

    @property
    def speaker(self) -> str:
        return self.entry.speaker

    @cached_property
    def amount(self) -> int:
        with readable(self.entry.path), np.load(self.entry.path, allow_pickle=False) as file:
            return len(file["ends"])

    def __len__(self) -> int:
        return self.amount

    @property
    def fps(self) -> Fraction:
        return self.contents().fps

    @property
    def mel(self) -> Mel:
        return self.contents().mel

    @property
    def banks(self) -> FilterBanks | None:
        return self.contents().banks

    def contents(self) -> Contents:
        """What the file holds, from memory if it was read lately."""
        return _contents(self.entry.path)

    def pictures(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """u8 [len(numbers), s, s, 3] RGB"""
        with readable(self.entry.path):
            faces = self.contents().pictures(numbers)
        if self.size and faces.shape[1:3] != (self.size, self.size):
            raise Mismatch(
                f"{self.entry.path}: is {faces.shape[1]} px, the network takes {self.size};"
                f" prepare the clips with --size {self.size}"
            )
        return faces


def is_prepared(folder: Path) -> bool:
    """Whether any split of this folder has prepared clips."""
    return any(next((folder / split).glob("*/*.npz"), None) for split in SPLITS)


def prepared(folder: Path, size: int) -> dict[str, list[PreparedClip]]:
    """The clips of each split, in a fixed order.  Raises BadInput if the first of one is of another size."""
    splits = {split: [PreparedClip(entry, size) for entry in _entries(folder, split)] for split in SPLITS}
    for clips in splits.values():
        for first in clips[:1]:
            first.pictures([0])
    return splits


def entries(folder: Path, split: str) -> list[Entry]:
    """The clips of a split, in a fixed order.  Raises BadInput if there are none."""
    clips = _entries(folder, split)
    if not clips:
        raise NoData(f"{folder / split}: no prepared clips; make them with python -m dataset.prepare")
    return clips


def _entries(folder: Path, split: str) -> list[Entry]:
    return [Entry(path, path.parent.name) for path in sorted((folder / split).glob("*/*.npz"))]


def save_clip(path: Path, clip: Clip) -> None:
    """Writes a clip, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary, temporary.open("wb") as file:
        write_clip(file, clip)


def write_clip(file: IO[bytes], clip: Clip) -> None:
    """Writes a clip; chroma is not subsampled."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    pictures = [cv2.imencode(".jpg", face[..., ::-1], options)[1] for face in clip.faces]
    banks = {} if clip.banks is None else {"banks": clip.banks.columns.astype(np.float16)}
    np.savez(
        file,
        faces=np.concatenate(pictures),
        ends=np.cumsum([len(picture) for picture in pictures]),
        mel=clip.mel.columns.astype(np.float16),
        seconds=np.float64(clip.mel.seconds),
        fps=np.array([clip.fps.numerator, clip.fps.denominator]),
        **banks,  # type: ignore[arg-type]
    )


def load_clip(entry: Entry) -> Clip:
    """Reads a clip back, all of it decoded.  Raises BadInput if the file is not one."""
    with readable(entry.path):
        contents = _read(entry.path)
        faces = contents.pictures(range(len(contents.ends)))
    return Clip(entry.path.stem, entry.speaker, faces, contents.mel, contents.fps, contents.banks)


@lru_cache(maxsize=KEPT)
def _contents(path: Path) -> Contents:
    with readable(path):
        return _read(path)


def _read(path: Path) -> Contents:
    with path.open("rb") as opened:
        return contents_of(opened)


def contents_of(opened: IO[bytes]) -> Contents:
    """What an open file of a clip holds.  Raises one of UNREADABLE if it is none; see `readable`."""
    with np.load(opened, allow_pickle=False) as file:
        mel = Mel(file["mel"].astype(np.float32), float(file["seconds"]))
        banks = FilterBanks(file["banks"].astype(np.float32)) if "banks" in file else None
        return Contents(file["faces"], file["ends"], mel, Fraction(*map(int, file["fps"])), banks)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what is wrong with a file into one sentence."""
    try:
        yield
    except (*UNREADABLE, ZeroDivisionError, cv2.error) as problem:
        wrong = Unreadable(f"{path}: not a prepared clip ({problem}); delete it and prepare it again")
        raise not_opened(f"{path}", problem) or wrong from problem


def _picture(jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
    decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("a picture in it cannot be decoded")
    return decoded[..., ::-1].astype(np.uint8)
