"""Arrays in a .npz of anybody's: what its headers declare is held against what is there, before it is read."""

import math
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

LARGEST = 4 << 30  # bytes of an array
UNREADABLE = (OSError, EOFError, BadZipFile, ValueError, TypeError, KeyError, RuntimeError, zlib.error)
"""What zipfile and numpy raise at a file that is no .npz, is damaged, or holds other arrays."""


def check_arrays(path: Path) -> None:
    """ValueError if an array is declared larger than what is stored of it, or than any of ours is."""
    with ZipFile(path) as file:
        for entry in file.infolist():
            with file.open(entry) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, kind = read(member)
                stored = entry.file_size - member.tell()
            if (size := math.prod(shape) * kind.itemsize) > min(stored, LARGEST):
                raise ValueError(f"{entry.filename} is said to be {size} bytes, and is {stored}")
