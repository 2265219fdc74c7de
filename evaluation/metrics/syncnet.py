"""LSE-C and LSE-D: SyncNet (Chung and Zisserman 2016), as syncnet_python published it and Wav2Lip measures with it.

The network has the published keys and shapes.  Its arithmetic, offsets, order and padding are that of the program,
whose oddities are named where they occur.  One difference: the program stores its frames as JPEG first, this does not.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from audio import SAMPLE_RATE
from guided_diffusion.engine.checkpoint import load_checkpoint, load_strictly

from ..video_sample import FPS, CachedPerSample, VideoSample
from .metric import Figure, MetricSpec, clip_mean
from .mfcc import MFCC_RATE, mfcc

FRAMES = 5  # that it looks at together
COLUMNS = 20  # of the cepstrum that go with them
REACH = 15  # frames that sound and picture are shifted to either side
BLOCK = 16  # windows embedded at a time
SAMPLES = int(SAMPLE_RATE / FPS)  # of a frame
STEP = int(MFCC_RATE / FPS)  # columns of a frame

_SOURCE = "Chung and Zisserman 2016 by Wav2Lip's program: 224 px, 25 fps, offsets -15..15; mean over clips"
CONFIDENCE = Figure("LSE-C", "", "up", f"{_SOURCE} of median - minimum over offsets")
DISTANCE = Figure("LSE-D", "", "down", f"{_SOURCE} of the least mean distance over offsets")
OFFSET = Figure("SyncNet's offset", "frames", "down", f"{_SOURCE} of |the offset of least distance|", 2)


class SyncNet(nn.Module):
    """Embeds 5 frames of a face, and 0.2 s of sound."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_seen2d(1, 64, 3, 1), nn.MaxPool2d(1),
            *_seen2d(64, 192, 3, 1), nn.MaxPool2d(3, (1, 2)),
            *_seen2d(192, 384, 3, 1), *_seen2d(384, 256, 3, 1), *_seen2d(256, 256, 3, 1), nn.MaxPool2d(3, 2),
            *_seen2d(256, 512, (5, 4), 0),
        )  # fmt: skip
        self.netcnnlip = nn.Sequential(
            *_seen3d(3, 96, (5, 7, 7), 2, 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_seen3d(96, 256, (1, 5, 5), 2, 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_seen3d(256, 256, (1, 3, 3), 1, 1), *_seen3d(256, 256, (1, 3, 3), 1, 1),
            *_seen3d(256, 256, (1, 3, 3), 1, 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_seen3d(256, 512, (1, 6, 6), 1, 0),
        )  # fmt: skip
        self.netfcaud, self.netfclip = _head(), _head()

    def embed_faces(self, faces: Tensor) -> Tensor:
        """faces [b, 3, 5, 224, 224] BGR, 0 to 255 -> [b, 1024]"""
        embedded: Tensor = self.netfclip(self.netcnnlip(faces).flatten(1))
        return embedded

    def embed_sound(self, cepstrum: Tensor) -> Tensor:
        """cepstrum [b, 1, 13, 20] -> [b, 1024]"""
        embedded: Tensor = self.netfcaud(self.netcnnaud(cepstrum).flatten(1))
        return embedded


def _seen2d(width: int, out: int, kernel: int | tuple[int, int], padding: int) -> list[nn.Module]:
    return [nn.Conv2d(width, out, kernel, padding=padding), nn.BatchNorm2d(out), nn.ReLU()]


def _seen3d(width: int, out: int, kernel: tuple[int, int, int], stride: int, padding: int) -> list[nn.Module]:
    """Strides and padding are those of a picture; time has 1 and 0."""
    convolution = nn.Conv3d(width, out, kernel, (1, stride, stride), (0, padding, padding))
    return [convolution, nn.BatchNorm3d(out), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


@dataclass(frozen=True)
class Lse:
    """distance: the least mean distance over all offsets; confidence: their median - it; offset: where it lies, in
    frames, above 0 if the sound is ahead of the picture."""

    distance: float
    confidence: float
    offset: int


def lse(seen: Tensor, heard: Tensor, reach: int = REACH) -> Lse:
    """The program's arithmetic on embeddings of n windows each: [n, d].

    Beyond the ends there are zeros, and distances to them count: near an end an offset is compared with silence that
    no network ever saw.  The distance of a pair is |a - b + 1e-6|, as torch has it.
    """
    padded = F.pad(heard, (0, 0, reach, reach))
    means = torch.stack([
        F.pairwise_distance(seen, padded[shift : shift + len(seen)]).mean() for shift in range(2 * reach + 1)
    ])  # fmt: skip
    least, place = means.min(dim=0)
    return Lse(float(least), float(means.median() - least), reach - int(place))


class SyncScore:
    """LSE of samples, by a network on a device."""

    def __init__(self, network: SyncNet, device: torch.device) -> None:
        self._network = network.to(device).eval().requires_grad_(False)
        self._device = device
        self._cached = CachedPerSample(self._of)

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "SyncScore":
        """With the published weights.  Raises BadInput if they are not that network's."""
        network = SyncNet()
        load_strictly(network, load_checkpoint(path).weights, str(path))
        return cls(network, device)

    def __call__(self, sample: VideoSample) -> Lse | None:
        """None for a sample too short to have a window."""
        return self._cached(sample)

    def metric_specs(self) -> list[MetricSpec]:
        """The three figures of the score."""
        return [
            clip_mean(CONFIDENCE, lambda _, fake: None if (sync := self(fake)) is None else sync.confidence),
            clip_mean(DISTANCE, lambda _, fake: None if (sync := self(fake)) is None else sync.distance),
            clip_mean(OFFSET, lambda _, fake: None if (sync := self(fake)) is None else abs(sync.offset)),
        ]

    @torch.inference_mode()
    def _of(self, sample: VideoSample) -> Lse | None:
        sound = whole_numbers(sample.sound.samples)
        count = min(len(sample), len(sound) // SAMPLES) - FRAMES  # the program leaves the last window out
        if count < 1:
            return None
        cepstrum = torch.from_numpy(mfcc(sound).T).float()                       # [13, columns]
        pictures = torch.from_numpy(np.ascontiguousarray(sample.wide[..., ::-1]))  # BGR
        face_embeddings, audio_embeddings = [], []
        for first in range(0, count, BLOCK):
            windows = range(first, min(first + BLOCK, count))
            faces = torch.stack([pictures[k : k + FRAMES].permute(3, 0, 1, 2) for k in windows])
            parts = torch.stack([cepstrum[None, :, k * STEP : k * STEP + COLUMNS] for k in windows])
            face_embeddings.append(self._network.embed_faces(faces.to(self._device).float()).cpu())
            audio_embeddings.append(self._network.embed_sound(parts.to(self._device)).cpu())
        return lse(torch.cat(face_embeddings), torch.cat(audio_embeddings))


def whole_numbers(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """f32 in [-1, 1] -> 16 bit, as a wave file holds it and the program reads it."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
