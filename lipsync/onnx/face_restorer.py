"""Face restoration by a network of the user's, such as GFPGAN or RestoreFormer: a soft face in, a sharp one out."""

from pathlib import Path

import numpy as np
import torch

from core.arrays import Picture
from face_detection import FFHQ_SIDE

from .model import Floats, OnnxModel

SHAPE = (1, 3, FFHQ_SIDE, FFHQ_SIDE)
WANTED = f"a face restorer takes one face [1, 3, {FFHQ_SIDE}, {FFHQ_SIDE}] float, RGB from -1 to 1, and gives the same"


class FaceRestorer:
    """Pictures of faces framed as in FFHQ, of 512 x 512 pixels."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """BadInput for what is no such network, such as CodeFormer's with its second input."""
        self.model = OnnxModel(path, "--face_restorer", device)
        taken, output = self.model.only_input(WANTED), self.model.output
        if not (taken.fits(SHAPE) and output.fits(SHAPE) and output.real):
            raise self.model.wrong(f"takes {taken} and gives {output}", WANTED)

    def change(self, face: Picture) -> Floats:
        """What it would add to a face u8 [512, 512, 3] RGB: f32 [512, 512, 3], levels of 255.

        BadInput if its output is of another size after all.
        """
        output = self.model(np.ascontiguousarray(face.transpose(2, 0, 1), np.float32)[None] / 127.5 - 1)
        if output.shape != SHAPE:
            raise self.model.wrong(f"gives {list(output.shape)}", WANTED)
        restored = (np.clip(output[0], -1, 1) + 1) * 127.5
        return np.asarray(restored.transpose(1, 2, 0) - face, np.float32)
