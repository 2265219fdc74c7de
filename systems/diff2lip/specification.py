"""Diff2Lip as a kind of model: what others ask of it, and how it is trained."""

from collections.abc import Mapping

from torch import Tensor

from dataset import WindowConfig
from guided_diffusion.engine.train_config import TrainConfig
from guided_diffusion.unet import UNet, UNetConfig

from ..objective import ObjectiveConfig
from ..preset import SMALL_DIFFUSION, SMALL_HEARING, SMALL_UNET, Preset
from ..sound import SoundConfig
from ..specification import SelfContained
from .system import Diff2Lip, Diff2LipConfig

TIME = "time_embed.2.bias"  # of a UNet
RELEASED = "audio_encoder_to_style.3.weight"  # a key of the authors' checkpoint alone

# The paper's network and objective are the defaults of their configs; `small` is ours.  At 256 px it is what the code
# that the paper builds on has there, but for the widths, which are as the release has them.
PRESETS = {
    "diff2lip-128": Preset(
        "diff2lip", Diff2LipConfig(), ObjectiveConfig(), TrainConfig(batch=8, accumulate=4, precision="bf16")
    ),
    "diff2lip-256": Preset(
        "diff2lip",
        Diff2LipConfig(unet=UNetConfig(image_size=256, channel_mult=(1, 1, 2, 3, 4, 4))),
        ObjectiveConfig(),
        TrainConfig(batch=4, accumulate=8, precision="bf16"),
    ),
    "diff2lip-small": Preset(
        "diff2lip",
        Diff2LipConfig(
            unet=SMALL_UNET,
            sound=SoundConfig(res_blocks=1, positions=True),
            diffusion=SMALL_DIFFUSION,
            **SMALL_HEARING,
            mask_fill="zeros",
        ),
        ObjectiveConfig(
            reconstruction=0.0, sync=0.0, perceptual=0.0, adversarial=0.0, x0_scale="plain", shared_step=False,
            mouth_weight=15.0, train_audio_encoder=False,
        ),
        TrainConfig(
            steps=20_000, batch=32, learning_rate=4e-4, warmup=100, ema=(0.999,), precision="bf16",
            save_every=250, evaluate_every=500,
        ),
        WindowConfig(frames=1, margin=5, balance=0.5, zoom=0.14, voice_jitter=6),
    ),
}  # fmt: skip


class Diff2LipSpecification(SelfContained[Diff2LipConfig, Diff2Lip]):
    """The network is the whole model."""

    kind = "diff2lip"
    config = Diff2LipConfig
    presets = PRESETS

    def build(self, config: Diff2LipConfig) -> Diff2Lip:
        return Diff2Lip(config)

    def published(self, weights: Mapping[str, Tensor]) -> Diff2LipConfig | None:
        return Diff2LipConfig() if RELEASED in weights else None

    def published_module(self, model: Diff2Lip) -> UNet:
        return model.network

    def unet(self, model: Diff2Lip) -> UNet:
        return model.network

    def lent_unet(self, model: Diff2Lip) -> dict[str, Tensor]:
        """With what it hears on average: another system has no style vector of the sound."""
        weights, mean = dict(model.network.state_dict()), model.network.audio_encoder_to_style[-1].bias
        assert isinstance(mean, Tensor)
        return weights | {TIME: weights[TIME] + mean}


SPECIFICATIONS = (Diff2LipSpecification(),)
