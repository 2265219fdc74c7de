"""What systems that hide the lower rows of a face and fill them in have in common."""

from abc import abstractmethod
from dataclasses import replace
from typing import Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from guided_diffusion.diffusion import Diffusion, DiffusionConfig
from guided_diffusion.engine.config import Config
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.space import Pixels, Space
from guided_diffusion.unet import UNetConfig

from .system import System


@runtime_checkable
class InpainterConfig(Config, Protocol):
    """What every config of such a system has.  mask_ratio: the share of the rows that are hidden, from below."""

    @property
    def unet(self) -> UNetConfig: ...
    @property
    def diffusion(self) -> DiffusionConfig: ...
    @property
    def sampling(self) -> SampleConfig: ...
    @property
    def fast(self) -> SampleConfig: ...
    @property
    def best(self) -> SampleConfig: ...
    @property
    def mask_ratio(self) -> float: ...


@runtime_checkable
class SpaceConfig(InpainterConfig, Protocol):
    """latents: the shape of an element of the autoencoder's space, () for pixels."""

    @property
    def latents(self) -> tuple[int, ...]: ...


class Masked(Protocol):
    """Conditions that have mask [1, 1, s, s], 1 where the face is to be generated, and filled [n, 3, s, s]."""

    @property
    def mask(self) -> Tensor: ...
    @property
    def filled(self) -> Tensor: ...


class MaskedInSpace(Masked, Protocol):
    """visible [n, c, h, w]: the masked face as an element of the space."""

    @property
    def visible(self) -> Tensor: ...


K = TypeVar("K", bound=Masked)
S = TypeVar("S", bound=MaskedInSpace)


class Inpainter(System[K]):
    """A System but for what it shows its network."""

    config: InpainterConfig
    mask: Tensor  # [1, 1, s, s] 1 on the hidden rows

    def __init__(self, config: InpainterConfig, network: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.diffusion = Diffusion(config.diffusion)
        self.register_buffer("mask", lower_rows(self.size, config.mask_ratio), persistent=False)

    @property
    def size(self) -> int:
        return self.config.unet.image_size

    @property
    def sampling(self) -> SampleConfig:
        return self.config.sampling

    @property
    def qualities(self) -> dict[str, SampleConfig]:
        return {"fast": self.config.fast, "best": self.config.best}

    @property
    @abstractmethod
    def sound_encoder(self) -> nn.Module:
        """What listens: it may start from another model's, and may be kept as it is."""

    def past(self, before: Tensor | None, face: Tensor) -> Tensor:
        """None are needed."""
        return face[:, :0]

    @property
    def bounded(self) -> bool:
        """Whether samples lie in [-1, 1]."""
        return True

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one sample: a picture."""
        return 3, self.size, self.size

    @property
    def sample_mask(self) -> Tensor:
        """[1, 1, h, w] of a sample: 1 where it is generated."""
        return self.mask

    def encode(self, faces: Tensor) -> Tensor:
        """What a sample of faces [n, 3, s, s] is: themselves."""
        return faces

    def finish(self, sample: Tensor, conditions: K) -> Tensor:
        """sample * mask + face * (1 - mask)."""
        return sample * conditions.mask + conditions.filled * (1 - conditions.mask)


class SpaceInpainter(Inpainter[S]):
    """One that fills in elements of a space: pixels, or latents of an autoencoder that stays as it is.

    ValueError if the space is not the one that the config says.
    """

    config: SpaceConfig
    element_mask: Tensor  # [1, 1, h, w]
    space: Space  # pixels, or the nn.Module that an autoencoder is

    def __init__(self, config: SpaceConfig, network: nn.Module, space: Space | None) -> None:
        super().__init__(config, network)
        self.space = space or Pixels(self.size)
        if config.latents != (() if space is None else tuple(space.shape)):
            raise ValueError(f"the network knows latents {config.latents}, the autoencoder has {self.space.shape}")
        self._keep(self.space)
        self.register_buffer("element_mask", lower_rows(self.shape[1], config.mask_ratio), persistent=False)

    def _keep(self, part: object) -> None:
        """A part that is used as it is: no gradient, always in evaluation mode."""
        if isinstance(part, nn.Module):
            part.requires_grad_(False).eval()

    @property
    def kept(self) -> tuple[object, ...]:
        return (self.space,)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in self.kept:
            self._keep(part)
        return self

    @property
    def bounded(self) -> bool:
        return self.space.bounded

    @property
    def sampling(self) -> SampleConfig:
        return self._clipped(super().sampling)

    @property
    def qualities(self) -> dict[str, SampleConfig]:
        return {name: self._clipped(sampling) for name, sampling in super().qualities.items()}

    def _clipped(self, sampling: SampleConfig) -> SampleConfig:
        return sampling if self.bounded else replace(sampling, clip=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, rows, columns = self.space.shape
        return channels, rows, columns

    @property
    def sample_mask(self) -> Tensor:
        return self.element_mask

    @torch.no_grad()
    def encode(self, faces: Tensor) -> Tensor:
        return self.space.encode(faces)

    def with_visible(self, x_t: Tensor, conditions: S) -> Tensor:
        """Elements whose visible rows are those of the masked face."""
        return x_t * self.element_mask + conditions.visible * (1 - self.element_mask)

    def finish(self, sample: Tensor, conditions: S) -> Tensor:
        """Decoded, and the visible pixels put back."""
        decoded = self.space.decode(self.with_visible(sample, conditions)).clamp(-1, 1)
        return super().finish(decoded, conditions)


def lower_rows(size: int, share: float) -> Tensor:
    """[1, 1, size, size]: 1 on so large a share of the rows, from below."""
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, int(size * (1 - share) + 1e-6) :] = 1
    return mask


def check_space(latents: tuple[int, ...], size: int, mask_ratio: float, diffusion: DiffusionConfig) -> None:
    """ValueError if latents, () for pixels, cannot be those of faces of `size` pixels, or not be filled in so."""
    if not 0 < mask_ratio < 1:
        raise ValueError(f"mask_ratio must lie in (0, 1), not {mask_ratio}")
    if not latents:
        return
    if len(latents) != 3 or latents[1] != latents[2] or size % latents[1]:
        raise ValueError(f"latents {latents} are not those of a square face of {size} px")
    if latents[1] * (1 - mask_ratio) % 1:
        raise ValueError(f"mask_ratio {mask_ratio} must leave whole rows of {latents[1]}")
    if diffusion.learn_variance:
        raise ValueError("a learned variance is that of pixels; use model.diffusion.learn_variance=False in latents")


def unet_in(latents: tuple[int, ...], unet: UNetConfig, pictures: int) -> UNetConfig:
    """A UNet for faces of unet.image_size pixels, made for that many pictures in the space: of pixels if ()."""
    if not latents:
        return replace(unet, in_channels=3 * pictures)
    channels, rows, _ = latents
    patch = max(unet.patch * rows // unet.image_size, 1)  # a position of the network sees the same stretch of face
    return replace(unet, image_size=rows, in_channels=channels * pictures, out_channels=channels, patch=patch)
