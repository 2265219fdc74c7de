"""FVD's network: the I3D of Kinetics-400, as TorchScript in the form that StyleGAN-V published."""

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import Unreadable

from ..video_sample import CachedPerSample, VideoSample

STRETCH = 16  # frames that it looks at together


class VideoFeatures:
    """What FVD compares: 400 numbers of every 16 face crops that follow each other; a rest of fewer is left out."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Raises BadInput if the file is no TorchScript."""
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=r".torch\.jit")  # it is published in no other form
                self._network = torch.jit.load(str(path), map_location=device).eval()
        except RuntimeError as problem:
            raise Unreadable(f"{path}: not TorchScript, as its name says; download it again") from problem
        self._device = device
        self._cached = CachedPerSample(self._of)

    def __call__(self, sample: VideoSample) -> NDArray[np.float32]:
        """f32 [t // 16, 400]"""
        return self._cached(sample)

    @torch.inference_mode()
    def _of(self, sample: VideoSample) -> NDArray[np.float32]:
        count = len(sample) // STRETCH
        stretches = sample.faces[: count * STRETCH].reshape(count, STRETCH, *sample.faces.shape[1:])
        rows = [np.zeros((0, 400), np.float32)]
        for stretch in stretches:
            pictures = torch.from_numpy(stretch).to(self._device).permute(3, 0, 1, 2)[None].float()  # [1, 3, 16, h, w]
            rows.append(self._network(pictures, rescale=True, resize=True, return_features=True).float().cpu().numpy())
        return np.concatenate(rows)
