"""A student that needs fewer steps than its teacher: what it is, and what it begins with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from core.errors import Mismatch
from guided_diffusion.engine.config import Config
from guided_diffusion.samplers import SampleConfig

from .components import Components, network_in
from .inpainting import InpainterConfig
from .model import Model
from .objective import ObjectiveConfig
from .preset import Preset
from .registry import load_with_specification
from .specification import AnySpecification

SETTINGS = ("loss.distill=1", "loss.diffusion=0", "loss.variational=0")
"""Of an objective, before what the user sets."""


class Teacher:
    """The model of a checkpoint, which stays as it is; of several in a folder, the one that fills faces in.

    BadInput if it is of another kind than the student, or cannot be distilled.
    """

    def __init__(self, path: Path, specification: AnySpecification) -> None:
        origin, self.model = load_with_specification(network_in(path) if path.is_dir() else path)
        config = self.model.config
        if origin.kind != specification.kind or not isinstance(config, InpainterConfig):
            raise Mismatch(
                f"--distill {path}: is a {origin.kind}; name what it is with --system, and pass one that makes faces"
            )
        if config.diffusion.predict == "eps":
            raise Mismatch(
                f"--distill {path}: predicts noise, of which one step makes no picture; pass one that predicts x0 or v"
            )
        self.folder = path if path.is_dir() else path.parent
        self._specification = origin

    def preset(self, named: Preset[Config]) -> Preset[Config]:
        """The student is of the teacher's make."""
        return replace(named, model=self.model.config).changed(SETTINGS)

    def student(self, chosen: Preset[Config]) -> Preset[Config]:
        """It samples in its few steps, whatever the quality that is asked for."""
        assert isinstance(chosen.loss, ObjectiveConfig)
        config: Any = chosen.model  # dataclasses.replace wants a dataclass that it knows
        sampling = SampleConfig("ddim", chosen.loss.distill_steps, config.sampling.clip)
        return replace(chosen, model=replace(config, sampling=sampling, fast=sampling, best=sampling))

    def system(self, components: Components, device: torch.device) -> Model:
        """The whole system of the teacher, on a device."""
        return self._specification.assemble(self.model, components).to(device).eval().requires_grad_(False)
