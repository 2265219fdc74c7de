"""How unlike two pictures look: LPIPS (Zhang et al. 2018), AlexNet v0.1, or features of a VGG-16 from a file.

LPIPS comes through the lpips package, which brings the weights of its linear layers.  Those of its backbone are
torchvision's AlexNet, 233 MB, which are read from checkpoints/ or the cache of torch.hub and never fetched behind
one's back.
"""

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import NotFound, Unreadable
from core.paths import CHECKPOINTS, weights_folders
from guided_diffusion.engine.checkpoint import load_checkpoint, load_strictly

BACKBONE = "alexnet-owt-7be5be79.pth"
URL = f"https://download.pytorch.org/models/{BACKBONE}"


class Lpips(nn.Module):
    """Fixed itself; gradients go through it to the pictures.

    backbone: torchvision's AlexNet state dict.  None leaves it random, which measures something, but not LPIPS.
    Raises BadInput if it is not that network's.
    """

    def __init__(self, backbone: dict[str, Tensor] | None, where: str = BACKBONE) -> None:
        super().__init__()
        import lpips  # a second to import, and only training and evaluation need it

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it builds AlexNet in the way of an older torchvision
            self.network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        if backbone is not None:
            features = {key: value for key, value in backbone.items() if key.startswith("features.")}
            load_strictly(_Features(self.network.net), features, where)
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """Two times [n, 3, s, s] RGB in [-1, 1] -> [n], 0 for equal ones."""
        distance: Tensor = self.network(pictures, others)
        return distance.flatten()


def load_lpips() -> Lpips:
    """LPIPS as published.  Raises BadInput, with the address, where AlexNet's weights are not on disk."""
    path = next((folder / BACKBONE for folder in weights_folders() if (folder / BACKBONE).is_file()), None)
    if path is None:
        raise NotFound(
            f"{CHECKPOINTS / BACKBONE}: the perceptual term needs AlexNet's weights; download {URL} to that place,"
            " or leave the term out with --set loss.perceptual=0"
        )
    return Lpips(load_checkpoint(path).weights, str(path))


class VggFeatures(nn.Module):
    """The distance of unit-length features of a VGG-16 (Simonyan and Zisserman 2015) on the lower face.

    Johnson et al. 2016 with the normalisation of LPIPS, unweighted: relu1_2, relu2_2 and relu3_3 of the rows from 7/16
    down.  Fixed itself; gradients go through it to the pictures.  weights: `0.weight`, `0.bias`, ... of the first seven
    convolutions, which take BGR from 0 to 255 minus Caffe's means.  Raises BadInput if they are not that.
    """

    mean: Tensor  # [1, 3, 1, 1]

    def __init__(self, weights: dict[str, Tensor], where: str) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(into, out, 3, padding=1) for into, out in VGG)
        load_strictly(self.convolutions, {name: value.float() for name, value in weights.items()}, where)
        self.register_buffer("mean", torch.tensor(CAFFE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """Two times [n, 3, s, s] RGB in [-1, 1] -> [n], 0 for equal ones."""
        with torch.no_grad():
            wanted = self._features(others)
        pairs = zip(self._features(pictures), wanted, strict=True)
        return torch.stack([(one - other).square().sum(dim=1).mean(dim=(1, 2)) for one, other in pairs]).sum(dim=0)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        """Unit-length, each [n, c, h, w]."""
        x = pictures[:, [2, 1, 0], pictures.shape[2] * 7 // 16 :] * 127.5 + 127.5 - self.mean
        features = []
        for number, convolution in enumerate(self.convolutions):
            x = F.relu(convolution(x))
            if number in (1, 3, 6):                                     # relu1_2, relu2_2, relu3_3
                features.append(x / (x.float().square().sum(dim=1, keepdim=True) + 1e-6).sqrt())
                x = F.max_pool2d(x, 2)
        return features


VGG = (3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)
CAFFE_MEAN = 104.00699, 116.66877, 122.67892  # of blue, green and red


def load_features(path: Path) -> VggFeatures:
    """The first seven convolutions of a VGG-16 from a safetensors file.  Raises BadInput if it holds no such thing."""
    weights = load_checkpoint(path).weights
    names = sorted(weights, key=lambda name: [int(part) if part.isdigit() else part for part in name.split(".")])
    kernels = [name for name in names if name.endswith("weight")]
    if len(kernels) != len(VGG) or len(names) != 2 * len(VGG):
        raise Unreadable(f"{path}: holds no seven convolutions of a VGG-16; leave --features out for LPIPS")
    renamed = {}
    for number, kernel in enumerate(kernels):
        renamed[f"{number}.weight"] = weights[kernel]
        renamed[f"{number}.bias"] = weights[kernel.removesuffix("weight") + "bias"]
    return VggFeatures(renamed, str(path))


class _Features(nn.Module):
    """lpips's slices of AlexNet under torchvision's names: features.0.weight, features.3.weight, ..."""

    def __init__(self, slices: nn.Module) -> None:
        super().__init__()
        layers = {name: layer for part in slices.children() for name, layer in part.named_children()}
        self.features = nn.ModuleDict(layers)
