"""Wav2Lip's published lip-sync expert (Prajwal et al. 2020), which Diff2Lip's sync loss was trained with.

Convolutions with batch normalisation; both embeddings end in a ReLU, so its cosines lie in [0, 1] and are its
probability that mouth and sound belong together.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ..lip_sync_expert import FRAMES
from ..model import Model

HEIGHT, WIDTH = 48, 96  # of the lower half of a 96 x 96 face

# (out, kernel, stride, padding, how many residual blocks of that width follow), read from its layout and figures
FACE = (
    (32, 7, (1, 1), 3, 0), (64, 5, (1, 2), 1, 2), (128, 3, (2, 2), 1, 3), (256, 3, (2, 2), 1, 2),
    (512, 3, (2, 2), 1, 2), (512, 3, (2, 2), 1, 0), (512, 3, (1, 1), 0, 0), (512, 1, (1, 1), 0, 0),
)  # fmt: skip
SOUND = (
    (32, 3, (1, 1), 1, 2), (64, 3, (3, 1), 1, 2), (128, 3, (3, 3), 1, 2), (256, 3, (3, 2), 1, 2),
    (512, 3, (1, 1), 0, 0), (512, 1, (1, 1), 0, 0),
)  # fmt: skip


@dataclass(frozen=True)
class Wav2LipExpertConfig:
    """Nothing to choose: the published weights fit one network.  size: of the faces given, any even one."""

    size: int = 96


class ConvBlock(nn.Module):
    """Convolution, batch normalisation, the input itself if residual, ReLU."""

    def __init__(
        self, width: int, out: int, kernel: int, stride: tuple[int, int], padding: int, *, residual: bool
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(width, out, kernel, stride, padding), nn.BatchNorm2d(out))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.conv_block(x)
        return F.relu(h + x if self.residual else h)


class Wav2LipExpert(Model):
    """The expert with the published keys and shapes.  It was trained on faces in BGR order in [0, 1]."""

    config: Wav2LipExpertConfig

    def __init__(self, config: Wav2LipExpertConfig) -> None:
        super().__init__()
        self.config = config
        self.face_encoder = _encoder(FRAMES * 3, FACE)
        self.audio_encoder = _encoder(1, SOUND)

    @property
    def size(self) -> int:
        return self.config.size

    def embed_faces(self, faces: Tensor) -> Tensor:
        """faces [b, 5, 3, s, s] RGB in [-1, 1] -> unit vectors [b, 512]."""
        pictures = (faces.flip(2) + 1) / 2                              # BGR in [0, 1]
        lower = pictures[:, :, :, faces.shape[3] // 2 :].flatten(1, 2)  # [b, 15, s/2, s]
        if lower.shape[2:] != (HEIGHT, WIDTH):
            lower = F.interpolate(lower, (HEIGHT, WIDTH), mode="bilinear", antialias=True, align_corners=False)
        return F.normalize(self.face_encoder(lower).flatten(1).float(), dim=1)

    def embed_sound(self, speech: Tensor) -> Tensor:
        """speech [b, 80, 16] in [-4, 4] -> unit vectors [b, 512]."""
        return F.normalize(self.audio_encoder(speech[:, None]).flatten(1).float(), dim=1)

    def sync_probability(self, faces: Tensor, speech: Tensor) -> Tensor:
        """The probability that each pair is in sync, [b] in [0, 1]: the cosine."""
        return (self.embed_faces(faces) * self.embed_sound(speech)).sum(dim=1)


def _encoder(width: int, layers: tuple[tuple[int, int, tuple[int, int], int, int], ...]) -> nn.Sequential:
    blocks: list[nn.Module] = []
    for out, kernel, stride, padding, residuals in layers:
        blocks.append(ConvBlock(width, out, kernel, stride, padding, residual=False))
        blocks += [ConvBlock(out, out, 3, (1, 1), 1, residual=True) for _ in range(residuals)]
        width = out
    return nn.Sequential(*blocks)
