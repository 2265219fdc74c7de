"""What lies before a face (a hand, a microphone, hair), by a segmentation of the user's.

Layouts that are known, by shape; the first output counts:

    input   [1, 3, h, w] RGB, or [1, h, w, 3] BGR as DeepFaceLab's and facefusion's XSeg; a varying side is taken as
            256, or 512 for classes
    values  0 to 1; for classes normalised by ImageNet's mean and deviation, as face-parsing.PyTorch does
    output  [1, 1, h, w] or [1, h, w, 1] or [1, h, w]: from 0 to 1, how much of the face is seen (XSeg); with
            `mask: occluder` in the file's metadata, how much is before it
            [1, 19, h, w]: scores of the classes of CelebAMask-HQ (BiSeNet); or whole numbers [1, h, w], [1, 1, h, w]:
            the classes themselves
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from core.arrays import Picture
from face_detection import Box, cut, ffhq_square

from .model import Floats, OnnxModel, Port

CLASSES = 19
SEEN = (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14)
"""Of CelebAMask-HQ's classes in the order of face-parsing.PyTorch (https://github.com/zllrunning/face-parsing.PyTorch):
skin, brows, eyes, glasses, ears, nose, mouth, lips, neck.  What lies before them: background, earring, necklace, cloth,
hair, hat."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB
SMALL, LARGE = 256, 512  # sides where the file leaves them open
LARGEST = 2048
MOUTH = (0.62, 0.86), (0.33, 0.67)
"""Rows and columns of FFHQ's square, as shares of its side: the lips, of which the corners are at 0.39 and 0.61 of the
columns and 0.73 of the rows, and what they reach when they open."""
WANTED = (
    "a face occluder takes one face [1, 3, h, w] or [1, h, w, 3] float with h = w, and gives how much of it is seen,"
    f" [1, 1, h, w] or [1, h, w, 1], or {CLASSES} classes [1, {CLASSES}, h, w]"
)

Mask = NDArray[np.bool_]


class FaceOccluder:
    """Pictures of faces framed as in FFHQ; side: of those that it takes, pixels."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """BadInput for a network of another layout."""
        self.model = OnnxModel(path, "--face_occluder", device)
        taken, output = self.model.only_input(WANTED), self.model.output
        self._last = taken.fits((1, None, None, 3)) and taken.shape[3] == 3 != taken.shape[1]
        self._classes = output.fits((1, CLASSES, None, None)) and output.shape[1] == CLASSES
        self.side = self._side(taken)
        fitting = [(1, *shape) for shape in ((1, None, None), (None, None, 1), (None, None))]
        known = taken.fits((1, None, None, 3) if self._last else (1, 3, None, None))
        if not known or not (self._classes or any(output.fits(shape) for shape in fitting)):
            raise self.model.wrong(f"takes {taken} and gives {output}", WANTED)
        means = self.model.metadata.get("mask", "face")
        if means not in ("face", "occluder"):
            raise self.model.wrong(f"says mask: {means} in its metadata", "that is face or occluder")
        self._marks_occluder = means == "occluder"

    def hidden(self, face: Picture) -> Mask:
        """Where something is before the face u8 [side, side, 3] RGB: bool [h, w] of the same square.

        BadInput if the network gives another shape after all.
        """
        mask = self.model(self._prepared(face))[0]
        if self._classes:
            return np.asarray(~np.isin(mask.argmax(axis=0), SEEN))
        flat = mask.squeeze()
        if flat.ndim != 2:
            raise self.model.wrong(f"gives {[1, *mask.shape]}", WANTED)
        if not self.model.output.real:
            return np.asarray(~np.isin(flat, SEEN))
        return np.asarray((flat > 0.5) == self._marks_occluder)

    def over_mouth(self, picture: Picture, box: Box) -> float:
        """How much of a mouth something is before, 0 to 1: of a frame u8 [h, w, 3] RGB, and the box of the face in it.
        """
        hidden = self.hidden(cut(picture, ffhq_square(box), self.side))
        rows, columns = (slice(*(round(place * len(hidden)) for place in side)) for side in MOUTH)
        return float(hidden[rows, columns].mean())

    def _prepared(self, face: Picture) -> Floats:
        values = face.astype(np.float32) / 255
        if self._last:
            return np.ascontiguousarray(values[None, ..., ::-1])
        if self._classes or not self.model.output.real:
            values = (values - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    def _side(self, taken: Port) -> int:
        if len(taken.shape) != 4:
            return SMALL
        height, width = taken.shape[1:3] if self._last else taken.shape[2:4]
        if height != width or not 16 <= (height or SMALL) <= LARGEST:
            raise self.model.wrong(f"takes {taken}", WANTED)
        return height or (LARGE if self._classes or not self.model.output.real else SMALL)


def shrunken(mask: Mask, side: int) -> Mask:
    """bool [h, w] -> bool [side, side] of the same square: what is hidden in any part of a pixel is."""
    if mask.shape == (side, side):
        return mask
    area = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(area > 0)
