"""Weights and inputs from a formula, so that any implementation can make them (docs/parity.md)."""

from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn


def formula(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
    """v[i] = frac((i + crc32(name) mod 10007) * golden ratio) * 2 - 1, times a scale, float32."""
    index = np.arange(int(np.prod(shape)), dtype=np.float64) + crc32(name.encode()) % 10007
    values = ((index * 0.6180339887498949) % 1) * 2 - 1
    return torch.from_numpy((values * scale).astype(np.float32).reshape(shape))


def fill(module: nn.Module) -> nn.Module:
    """Every parameter of the module by the formula; matrices are scaled by their fan-in."""
    state = {}
    for name, value in module.state_dict().items():
        if value.ndim >= 2:
            fan_in = int(np.prod(value.shape[1:]))
            state[name] = formula(name, tuple(value.shape), 0.8 * (3 / fan_in) ** 0.5)
        elif name.endswith("weight"):
            state[name] = 1 + formula(name, tuple(value.shape), 0.1)
        else:
            state[name] = formula(name, tuple(value.shape), 0.05)
    module.load_state_dict(state)
    return module.eval()


def inputs(tag: str, batch: int, size: int) -> dict[str, Tensor]:
    """The inputs of a parity case: face, reference, noise, mel, mask, filled."""
    face = formula(f"{tag}/face", (batch, 3, size, size))
    noise = formula(f"{tag}/noise", (1, 3, size, size), 1.7).expand(batch, -1, -1, -1)
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, size // 2 :] = 1
    return {
        "face": face,
        "reference": formula(f"{tag}/ref", (batch, 3, size, size)),
        "noise": noise,
        "mel": formula(f"{tag}/mel", (batch, 80, 16), 4.0),
        "mask": mask,
        "filled": face * (1 - mask) + noise * mask,
    }
