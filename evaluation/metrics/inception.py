"""FID's network: the Inception of 2015, as pytorch-fid published it.

torchvision's Inception v3 but for 1008 classes and the pooling in nine of its blocks: averages leave the border out,
and the last block takes the maximum.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import Inception3
from torchvision.models import inception as blocks

from dataset import to_network
from guided_diffusion.engine.checkpoint import load_checkpoint, load_strictly

from ..video_sample import CachedPerSample, VideoSample

SIZE = 299  # pixels that the network sees
CLASSES = 1008
BLOCK = 16  # pictures at a time


class BlockA(blocks.InceptionA):  # type: ignore[misc]
    """The blocks at 35 x 35."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        fives = self.branch5x5_2(self.branch5x5_1(x))
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return [self.branch1x1(x), fives, threes, self.branch_pool(_mean(x))]


class BlockC(blocks.InceptionC):  # type: ignore[misc]
    """The blocks at 17 x 17."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return [self.branch1x1(x), single, double, self.branch_pool(_mean(x))]


class BlockE(blocks.InceptionE):  # type: ignore[misc]
    """The blocks at 8 x 8; the last one pools otherwise."""

    last = False

    def _forward(self, x: Tensor) -> list[Tensor]:
        single = self.branch3x3_1(x)
        single = torch.cat([self.branch3x3_2a(single), self.branch3x3_2b(single)], dim=1)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        double = torch.cat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)], dim=1)
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.last else _mean(x)
        return [self.branch1x1(x), single, double, self.branch_pool(pooled)]


def _mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def fid_inception() -> Inception3:
    """The network, untrained, with the published keys."""
    kinds = [
        blocks.BasicConv2d, BlockA, blocks.InceptionB, BlockC, blocks.InceptionD, BlockE, blocks.InceptionAux,
    ]  # fmt: skip
    network = Inception3(CLASSES, aux_logits=False, inception_blocks=kinds, init_weights=False)
    network.Mixed_7c.last = True
    return network


class InceptionFeatures:
    """What FID compares: the 2048 averages before the classes, of each face crop."""

    def __init__(self, network: Inception3, device: torch.device) -> None:
        network.fc = nn.Identity()
        self._network = network.to(device).eval().requires_grad_(False)
        self._device = device
        self._cached = CachedPerSample(self._of)

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "InceptionFeatures":
        """With the published weights.  Raises BadInput if they are not that network's."""
        network = fid_inception()
        counters = {key: value for key, value in network.state_dict().items() if key.endswith("num_batches_tracked")}
        load_strictly(network, counters | load_checkpoint(path).weights, str(path))
        return cls(network, device)

    def __call__(self, sample: VideoSample) -> NDArray[np.float32]:
        """f32 [t, 2048]"""
        return self._cached(sample)

    @torch.inference_mode()
    def _of(self, sample: VideoSample) -> NDArray[np.float32]:
        parts = [self._features(to_network(sample.faces[k : k + BLOCK])) for k in range(0, len(sample), BLOCK)]
        return torch.cat(parts).numpy()

    def _features(self, pictures: Tensor) -> Tensor:
        """[n, 3, s, s] in [-1, 1] -> [n, 2048]"""
        large = F.interpolate(pictures.to(self._device), (SIZE, SIZE), mode="bilinear", align_corners=False)
        features: Tensor = self._network(large)
        return features.float().cpu()
