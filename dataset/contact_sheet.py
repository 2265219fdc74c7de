"""A page of faces with names below them, by which one sees at a glance whether data is cut as it should be."""

from collections.abc import Iterable
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

COLUMNS = 8
TILE = 128  # pixels of a face
GAP = 4  # white pixels around each
LINE = 16  # pixels of a name
LONGEST = 18  # characters of a name


def contact_sheet(faces: Iterable[tuple[str, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """(name, u8 [s, s, 3] RGB) of each, one or more -> u8 [h, w, 3] RGB.  Letters that OpenCV cannot draw become ?."""
    tiles = [_tile(name, face) for name, face in faces]
    rows = ceil(len(tiles) / COLUMNS)
    columns = min(COLUMNS, len(tiles))
    height, width = TILE + LINE + GAP, TILE + GAP
    page = np.full((rows * height + GAP, columns * width + GAP, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = GAP + number // COLUMNS * height, GAP + number % COLUMNS * width
        page[top : top + TILE + LINE, left : left + TILE] = tile
    return page


def _tile(name: str, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shrinks = len(face) > TILE
    sized = cv2.resize(face, (TILE, TILE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    label = np.full((LINE, TILE, 3), 255, np.uint8)
    text = name[-LONGEST:].encode("ascii", "replace").decode()
    cv2.putText(label, text, (0, LINE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([sized, label]).astype(np.uint8, copy=False)
