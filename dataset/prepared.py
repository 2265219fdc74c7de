"""A prepared folder: one .npz a clip with JPEG faces and the mel as fp16; read with numpy and OpenCV alone.

    folder/SPLIT/SPEAKER/NAME.npz
        faces u8 (the JPEGs, end to end), ends i64 [t], mel f16 [c, 80], seconds f64, fps i64 [2]
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from audio import Mel
from errors import BadInput
from video import atomic

from .clip import Clip

JPEG_QUALITY = 93
UNREADABLE = (OSError, EOFError, BadZipFile, ValueError, KeyError, ZeroDivisionError, cv2.error)


@dataclass(frozen=True)
class Entry:
    """Where a prepared clip lies, before it is decoded."""

    path: Path
    speaker: str


def entries(folder: Path, split: str) -> list[Entry]:
    """The clips of a split, in a fixed order.  Raises BadInput if there are none."""
    found = [Entry(path, path.parent.name) for path in sorted((folder / split).glob("*/*.npz"))]
    if not found:
        raise BadInput(f"{folder / split}: no prepared clips; make them with python -m dataset.prepare")
    return found


def save_clip(path: Path, clip: Clip) -> None:
    """Writes a clip, whole or not at all; chroma is not subsampled."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    pictures = [cv2.imencode(".jpg", face[..., ::-1], options)[1] for face in clip.faces]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            faces=np.concatenate(pictures),
            ends=np.cumsum([len(picture) for picture in pictures]),
            mel=clip.mel.columns.astype(np.float16),
            seconds=np.float64(clip.mel.seconds),
            fps=np.array([clip.fps.numerator, clip.fps.denominator]),
        )


def load_clip(entry: Entry) -> Clip:
    """Reads a clip back.  Raises BadInput if the file is not one."""
    try:
        with entry.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            faces = _decode(file["faces"], file["ends"])
            mel = Mel(file["mel"].astype(np.float32), float(file["seconds"]))
            fps = Fraction(*map(int, file["fps"]))
    except UNREADABLE as problem:
        raise BadInput(f"{entry.path}: not a prepared clip ({problem}); delete it and prepare it again") from problem
    return Clip(entry.path.stem, entry.speaker, faces, mel, fps)


def _decode(pictures: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack([_picture(part) for part in np.split(pictures, ends[:-1])])


def _picture(jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
    decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("a picture in it cannot be decoded")
    return decoded[..., ::-1].astype(np.uint8)
