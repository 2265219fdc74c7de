"""LPIPS (Zhang et al. 2018), AlexNet v0.1: how unlike two pictures look.  Through the lpips package.

The package brings the weights of its linear layers.  Those of its backbone are torchvision's AlexNet, 233 MB, which are
read from checkpoints/ or the cache of torch.hub and never fetched behind one's back.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from errors import BadInput
from guided_diffusion.checkpoint import load_checkpoint, load_strictly

BACKBONE = "alexnet-owt-7be5be79.pth"
URL = f"https://download.pytorch.org/models/{BACKBONE}"
CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"


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
    folders = (CHECKPOINTS, Path(torch.hub.get_dir()) / "checkpoints")
    found = next((folder / BACKBONE for folder in folders if (folder / BACKBONE).is_file()), None)
    if found is None:
        raise BadInput(
            f"{CHECKPOINTS / BACKBONE}: the perceptual term needs AlexNet's weights; download {URL} to that place,"
            " or leave the term out with --set loss.perceptual=0"
        )
    return Lpips(load_checkpoint(found).weights, str(found))


class _Features(nn.Module):
    """lpips's slices of AlexNet under torchvision's names: features.0.weight, features.3.weight, ..."""

    def __init__(self, slices: nn.Module) -> None:
        super().__init__()
        layers = {name: layer for part in slices.children() for name, layer in part.named_children()}
        self.features = nn.ModuleDict(layers)
