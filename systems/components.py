"""What a network works with besides its own weights: an autoencoder, stage 1.  All lie in one folder.

    FOLDER/weights.safetensors (as training names it), or network.safetensors or renderer.safetensors
    FOLDER/autoencoder.safetensors, or FOLDER/autoencoder/ for a published one (autoencoder/published.py)
    FOLDER/motion.safetensors

A specification says which components its kind has; a config, whether the network knows latents.
"""

import filecmp
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from core.atomic import save_atomically
from core.errors import Mismatch, NotFound
from guided_diffusion.space import Space

from .stage1 import Stage1

K = TypeVar("K")
M = TypeVar("M")
WEIGHTS = ("weights.safetensors", "network.safetensors", "renderer.safetensors")
AUTOENCODERS = ("autoencoder.safetensors", "autoencoder")
MOTION = ("motion.safetensors",)


class Latents(Space, Protocol):
    """An autoencoder of faces of size x size pixels: a space that has weights."""

    @property
    def size(self) -> int: ...

    def state_dict(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Component(Generic[M]):
    """A model, and the file or folder that it came from."""

    model: M
    path: Path


@dataclass(frozen=True)
class Components:
    """autoencoder: whose latents the network knows, None for pixels; motion: stage 1, None for what hears by itself."""

    autoencoder: Component[Latents] | None = None
    motion: Component[Stage1] | None = None

    @property
    def space(self) -> Space | None:
        """The autoencoder as the space of samples; None for pixels."""
        return None if self.autoencoder is None else self.autoencoder.model

    @property
    def settings(self) -> list[str]:
        """What they decide of the config of a network, as settings that come before a user's."""
        if self.autoencoder is None:
            return ["model.latents=[]"]
        shape = list(self.autoencoder.model.shape)
        return [f"model.latents={shape}", "model.diffusion.learn_variance=false", "model.unet.out_channels=3"]

    def fitted(self, config: K) -> K:
        """The config of a network that is to be trained with these.  BadInput if it cannot be."""
        changed: Any = config
        changes: dict[str, Any] = {"latents": ()}
        for component in (self.autoencoder, self.motion):
            if component is not None and component.model.size != changed.size:
                raise Mismatch(
                    f"{component.path}: is made for faces of {component.model.size} px, the network for {changed.size};"
                    " use --set model.unet.image_size accordingly"
                )
        if self.autoencoder is not None:
            # The variance that is learned is that of 8-bit pixels.
            changes["diffusion"] = replace(changed.diffusion, learn_variance=False)
            changes["unet"] = replace(changed.unet, out_channels=3)
            changes["latents"] = tuple(self.autoencoder.model.shape)
        if self.motion is not None:
            changes["motion_dim"] = self.motion.model.config.motion_dim
        try:
            fitted: K = replace(changed, **changes, **dict(self._fingerprints()))
        except ValueError as problem:
            raise Mismatch(f"{problem}; use other --components or --set") from problem
        return fitted

    def check(self, config: object, where: str) -> None:
        """BadInput if a network, which came from `where`, was trained with others than these."""
        for name, present in self._fingerprints():
            if (expected := getattr(config, name)) and expected != present:
                path = getattr(self, name).path
                raise Mismatch(f"{path}: is not the one that {where} was trained with; put that one beside it")

    def put_beside(self, weights: Path) -> list[str]:
        """Copies them into the folder of a network's weights, each file whole or not at all.  -> what they are called

        Raises Mismatch as `check_beside`.
        """
        self.check_beside(weights.parent)
        for file, copy in self._copies(weights.parent):
            if not copy.exists():
                save_atomically(copy, partial(shutil.copyfile, file))
        return [path.name for _, path in self._places(weights.parent)]

    def check_beside(self, folder: Path) -> None:
        """Mismatch if others lie where these are to be put."""
        for file, copy in self._copies(folder):
            if copy.exists() and not filecmp.cmp(file, copy, shallow=False):
                raise Mismatch(
                    f"{copy}: is not {file}, which this network is trained with; move it away, or choose another folder"
                )

    def _copies(self, folder: Path) -> Iterator[tuple[Path, Path]]:
        """Each of their files, and its place in a folder."""
        for path, place in self._places(folder):
            files = [file for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [path]
            yield from ((file, place / file.relative_to(path)) for file in files)

    def _places(self, folder: Path) -> Iterator[tuple[Path, Path]]:
        """Each component, a file or a folder, and its place."""
        for component, names in ((self.autoencoder, AUTOENCODERS), (self.motion, MOTION)):
            if component is not None:
                path: Path = component.path
                yield path, folder / (names[-1] if path.is_dir() else names[0])

    def _fingerprints(self) -> Iterator[tuple[str, str]]:
        if self.autoencoder is not None:
            yield "autoencoder", fingerprint(self.autoencoder.model)
        if self.motion is not None:
            yield "motion", fingerprint(self.motion.model.reader)


def network_in(folder: Path) -> Path:
    """The network's weights in the folder of a whole model.  BadInput if there are none."""
    return _one_of(folder, WEIGHTS, "a network", "style-small")


def autoencoder_in(folder: Path) -> Path:
    """Where its autoencoder lies.  BadInput if there is none."""
    return _one_of(folder, AUTOENCODERS, "an autoencoder", "autoencoder")


def motion_in(folder: Path) -> Path:
    """Where its stage 1 lies.  BadInput if there is none."""
    return _one_of(folder, MOTION, "stage 1", "motion")


def has_autoencoder(folder: Path) -> bool:
    return any((folder / name).exists() for name in AUTOENCODERS)


def component_files(folder: Path) -> list[Path]:
    """The files of all components that lie in a folder, whether or not a network there works with them."""
    there = [folder / name for name in (*AUTOENCODERS, *MOTION) if (folder / name).exists()]
    return [file for path in there for file in (sorted(path.glob("**/*")) if path.is_dir() else [path])]


def _one_of(folder: Path, names: tuple[str, ...], what: str, preset: str) -> Path:
    path = next((folder / name for name in names if (folder / name).exists()), None)
    if path is None:
        raise NotFound(
            f"{folder}: this model lacks {what}; put {folder / names[0]} there, made by train.py --system {preset}"
        )
    return path


def fingerprint(module: torch.nn.Module | Latents) -> str:
    """16 hexadecimal digits of a module's weights, as checkpoints keep them."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(module.state_dict().items()):
        value = value.detach().cpu()
        rounded = value.half() + 0.0 if value.is_floating_point() else value  # averaging makes 0 of -0
        digest.update(name.encode())
        digest.update(rounded.contiguous().numpy().tobytes())
    return digest.hexdigest()
