"""What a renderer works with, besides its own weights: an autoencoder, and stage 1.  All lie in one folder.

    FOLDER/renderer.safetensors (or weights.safetensors, as training names it)
    FOLDER/autoencoder.safetensors, or FOLDER/autoencoder/ for a published one (see published.py)
    FOLDER/motion.safetensors
"""

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from errors import BadInput

from .motion_model import LipMotion
from .renderer import Renderer, RendererConfig
from .system import StyleSystem

RENDERERS = ("renderer.safetensors", "weights.safetensors")
AUTOENCODERS = ("autoencoder.safetensors", "autoencoder")
MOTION = "motion.safetensors"


@dataclass(frozen=True)
class Parts:
    """The parts and the files that they came from."""

    autoencoder: Any  # Latents, and an nn.Module
    motion: LipMotion
    autoencoder_path: Path
    motion_path: Path

    def fitted(self, config: RendererConfig) -> RendererConfig:
        """The config of a renderer that is to be trained with these parts.  BadInput if it cannot be."""
        if self.motion.size != config.size:
            raise BadInput(
                f"{self.motion_path}: reads faces of {self.motion.size} px, the renderer makes {config.size};"
                " use --set model.size accordingly"
            )
        try:
            return replace(
                config,
                latents=tuple(self.autoencoder.shape),
                numbers=self.motion.config.numbers,
                autoencoder=fingerprint(self.autoencoder),
                motion=fingerprint(self.motion.reader),
            )
        except ValueError as problem:
            raise BadInput(f"{self.autoencoder_path}: does not fit the renderer ({problem})") from problem

    def system(self, renderer: Renderer, where: str) -> StyleSystem:
        """The whole.  BadInput if the renderer, which came from `where`, was trained with other parts."""
        known = renderer.config
        for path, said, part in (
            (self.autoencoder_path, known.autoencoder, self.autoencoder),
            (self.motion_path, known.motion, self.motion.reader),
        ):
            if said and said != fingerprint(part):
                raise BadInput(f"{path}: is not the one that {where} was trained with; put that one beside it")
        return StyleSystem(renderer, self.autoencoder, self.motion.reader)

    def put_beside(self, weights: Path) -> None:
        """Copies the parts into the folder of a renderer's weights, unless they are there."""
        whole = self.autoencoder_path.is_dir()
        copy = weights.with_name(AUTOENCODERS[whole])
        if not copy.exists():
            (shutil.copytree if whole else shutil.copyfile)(self.autoencoder_path, copy)
        if not (motion := weights.with_name(MOTION)).exists():
            shutil.copyfile(self.motion_path, motion)


def renderer_in(folder: Path) -> Path:
    """The renderer's weights in the folder of a whole model.  BadInput if there are none."""
    return _one_of(folder, RENDERERS, "a renderer", "style-small")


def parts_in(folder: Path) -> tuple[Path, Path]:
    """Where its autoencoder and stage 1 lie.  BadInput if one is missing."""
    autoencoder = _one_of(folder, AUTOENCODERS, "an autoencoder", "autoencoder")
    return autoencoder, _one_of(folder, (MOTION,), "stage 1", "motion")


def _one_of(folder: Path, names: tuple[str, ...], what: str, preset: str) -> Path:
    found = next((folder / name for name in names if (folder / name).exists()), None)
    if found is None:
        raise BadInput(
            f"{folder}: this model lacks {what}; put {folder / names[0]} there, made by train.py --system {preset}"
        )
    return found


def fingerprint(module: torch.nn.Module) -> str:
    """16 hexadecimal digits of a module's weights, as checkpoints keep them."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(module.state_dict().items()):
        value = value.detach().cpu()
        kept = value.half() + 0.0 if value.is_floating_point() else value  # averaging makes 0 of -0
        digest.update(name.encode())
        digest.update(kept.contiguous().numpy().tobytes())
    return digest.hexdigest()
