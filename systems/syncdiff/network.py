"""SyncDiff's network: a UNet that attends to what is heard, and is told a few numbers of the pose."""

from guided_diffusion.unet import UNet

from .config import SyncDiffConfig
from .hearing import AvHubertHearing, MelHearing
from .pose_bottleneck import PoseBottleneck


class SyncDiffNetwork(UNet):
    """The UNet with its hearing and, if the pose passes a bottleneck, that."""

    def __init__(self, config: SyncDiffConfig) -> None:
        super().__init__(config.network)
        self.hearing = AvHubertHearing(config) if config.sound == "avhubert" else MelHearing(config)
        self.pose = PoseBottleneck(config.pose, config.unet.embedding) if config.pose.kind == "bottleneck" else None
