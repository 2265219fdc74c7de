"""SyncDiff's network: a UNet that attends to what is heard, and is told a few numbers of the pose."""

from torch import Tensor

from guided_diffusion.unet import UNet

from ..model import Model
from .config import SyncDiffConfig
from .hearing import AvHubertHearing, MelHearing
from .pose_bottleneck import PoseBottleneck


class SyncDiffNetwork(Model):
    """All that is trained: the UNet, its hearing and, if the pose passes a bottleneck, that."""

    config: SyncDiffConfig

    def __init__(self, config: SyncDiffConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.network)
        self.hearing = AvHubertHearing(config) if config.audio_encoder == "avhubert" else MelHearing(config)
        self.pose = PoseBottleneck(config.pose, config.unet.embedding) if config.pose.kind == "bottleneck" else None

    @property
    def size(self) -> int:
        return self.config.size

    def forward(self, elements: Tensor, t: Tensor, style: Tensor | None, context: Tensor) -> Tensor:
        """elements [n, 3 or 4 c, h, w], the noisy one first -> what is predicted of it [n, c or 2 c, h, w]."""
        output: Tensor = self.unet(elements, t, style=style, context=context)
        return output
