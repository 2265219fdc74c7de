"""What every kind of model has, whatever it is for."""

from abc import abstractmethod

from torch import nn

from dataset import Needs
from guided_diffusion.engine.config import Config


class Model(nn.Module):
    """config: what it was built by, as its checkpoints store it; needs: what its clips must hold."""

    config: Config
    needs: Needs = Needs()

    @property
    @abstractmethod
    def size(self) -> int:
        """The side of its square faces, pixels."""
