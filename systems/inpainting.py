"""What systems that hide the lower rows of a face and fill them in have in common."""

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from dataset import ClipBatch, Needs
from guided_diffusion.diffusion import Diffusion
from guided_diffusion.samplers import SampleConfig

K = TypeVar("K")


class Inpainter(nn.Module, Generic[K]):
    """A System (systems/system.py) but for what it shows its network.

    config has unet, diffusion, sampling, fast, best, and hide, the share of the rows that are hidden, from below;
    K, its Conditions, have mask and filled.
    """

    mask: Tensor  # [1, 1, s, s] 1 on the hidden rows
    needs = Needs()

    def __init__(self, config: Any, network: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.diffusion = Diffusion(config.diffusion)
        rows = torch.arange(self.size) >= int(self.size * (1 - config.hide))
        mask = rows.float().view(1, 1, -1, 1).repeat(1, 1, 1, self.size)
        self.register_buffer("mask", mask, persistent=False)

    @property
    def size(self) -> int:
        return self.config.unet.image_size  # type: ignore[no-any-return]

    @property
    def sampling(self) -> SampleConfig:
        return self.config.sampling  # type: ignore[no-any-return]

    @property
    def qualities(self) -> dict[str, SampleConfig]:
        """The samplings besides the default one."""
        return {"fast": self.config.fast, "best": self.config.best}

    @property
    @abstractmethod
    def sound_encoder(self) -> nn.Module:
        """What listens: it may start from another model's, and may be kept as it is."""

    @abstractmethod
    def conditions(self, clips: ClipBatch, noise: Tensor) -> K: ...

    @abstractmethod
    def denoise(self, x_t: Tensor, t: Tensor, conditions: K) -> Tensor: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one sample: a picture."""
        return 3, self.size, self.size

    @property
    def sample_mask(self) -> Tensor:
        """[1, 1, h, w] of a sample: 1 where it is generated."""
        return self.mask

    def sampled(self, faces: Tensor) -> Tensor:
        """What a sample of faces [n, 3, s, s] is: themselves."""
        return faces

    def finish(self, sample: Tensor, conditions: Any) -> Tensor:
        """sample * mask + face * (1 - mask)."""
        finished: Tensor = sample * conditions.mask + conditions.filled * (1 - conditions.mask)
        return finished
