"""Autoencoders that others have trained, as a Space each; their weights are not part of this project.

    FOLDER/config.json, FOLDER/diffusion_pytorch_model.safetensors     diffusers' AutoencoderKL
    FOLDER/taef2_encoder.pth, FOLDER/taef2_decoder.pth                 TAEF2, of the family of tiny autoencoders
"""

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import NotFound, Unreadable
from guided_diffusion.engine.checkpoint import load_checkpoint, load_strictly

SIZE = 128         # pixels of a face
TINY = ("taef2_encoder.pth", "taef2_decoder.pth")
CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


def load_published(folder: Path, size: int = SIZE) -> "TinyAutoencoder | KlAutoencoder":
    """The autoencoder in a folder.  Raises BadInput if there is none, or it does not fit."""
    if (folder / TINY[0]).is_file():
        return TinyAutoencoder(folder, size)
    if (folder / CONFIG).is_file():
        return KlAutoencoder(folder, size)
    raise NotFound(
        f"{folder}: holds no autoencoder; put {TINY[0]} and {TINY[1]} there, or diffusers' {CONFIG} and {WEIGHTS}"
    )


class TinyAutoencoder(nn.Module):
    """TAEF2: 8 x 8 pixels to one position of 32 numbers, by residual blocks without norms."""

    bounded = False

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__()
        self.size, self.shape = size, (32, size // 8, size // 8)
        self.encoder, self.decoder = _tiny_encoder(), _tiny_decoder()
        for part, name in zip((self.encoder, self.decoder), TINY, strict=True):
            load_strictly(part, load_checkpoint(folder / name).weights, str(folder / name))

    def encode(self, faces: Tensor) -> Tensor:
        output: Tensor = self.encoder(faces / 2 + 0.5).float()
        return output

    def decode(self, latents: Tensor) -> Tensor:
        bounded = torch.tanh(latents / 3) * 3
        output: Tensor = self.decoder(bounded).float() * 2 - 1
        return output


class KlAutoencoder(nn.Module):
    """diffusers' AutoencoderKL: the mean of what it encodes, at unit deviation."""

    bounded = False

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__()
        try:
            from diffusers import AutoencoderKL
        except ImportError as problem:
            raise NotFound(f"{folder}: needs diffusers; pip install diffusers, or use our own autoencoder") from problem
        build: Any = AutoencoderKL.from_config
        self.network = build({**_config(folder / CONFIG), "sample_size": size})
        load_strictly(self.network, load_checkpoint(folder / WEIGHTS).weights, str(folder / WEIGHTS))
        side = size // 2 ** (len(self.network.config.block_out_channels) - 1)
        self.size, self.shape = size, (self.network.config.latent_channels, side, side)

    def encode(self, faces: Tensor) -> Tensor:
        mean: Any = self.network.encode(faces).latent_dist.mode()
        output: Tensor = mean.float() * self.network.config.scaling_factor
        return output

    def decode(self, latents: Tensor) -> Tensor:
        restored: Any = self.network.decode(latents / self.network.config.scaling_factor).sample
        output: Tensor = restored.float()
        return output


def _config(path: Path) -> dict[str, Any]:
    """What a JSON file says.  Raises BadInput if it is none."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise Unreadable(f"{path}: not readable ({problem}); copy or download it again") from problem
    if not isinstance(config, dict):
        raise Unreadable(f"{path}: says no settings; copy or download it again")
    return config


class _Block(nn.Module):
    """Three convolutions around a skip; with `pool`, after a branch of 1 x 1 convolutions that sees the whole picture
    through the norm between them."""

    def __init__(self, *, pool: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())
        if pool:
            narrow, wide = nn.Conv2d(256, 64, 1, bias=False), nn.Conv2d(64, 256, 1, bias=False)
            self.pool = nn.Sequential(wide, nn.GroupNorm(4, 256), nn.ReLU(), narrow)

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "pool"):
            x = x + self.pool(x)
        return F.relu(self.conv(x) + x)


def _conv(channels: int = 64, out: int = 64, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=bias)


def _tiny_encoder() -> nn.Sequential:
    layers: list[nn.Module] = [_conv(3), _Block()]
    for pool in (False, False, True):
        layers += [_conv(stride=2, bias=False), *(_Block(pool=pool) for _ in range(3))]
    return nn.Sequential(*layers, _conv(out=32))


def _tiny_decoder() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Identity(), _conv(32), nn.ReLU()]  # the first place was that of the bound
    for pool in (True, False, False):
        layers += [*(_Block(pool=pool) for _ in range(3)), nn.Upsample(scale_factor=2), _conv(bias=False)]
    return nn.Sequential(*layers, _Block(), _conv(out=3))
