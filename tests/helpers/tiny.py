"""Diff2Lip at the size of a thumbnail, in the paper's way and in that of the small preset."""

from dataclasses import replace

from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.unet import UNetConfig
from systems.diff2lip import Diff2LipConfig
from systems.sound import SoundConfig

UNET = UNetConfig(
    image_size=32, channels=32, channel_mult=(1, 2), res_blocks=1, attention_resolutions=(16,), head_channels=32,
    patch=2,
)
PAPER = Diff2LipConfig(unet=UNET, sound=SoundConfig(res_blocks=1))
OURS = replace(
    PAPER, unet=replace(UNET, out_channels=3, scale_shift_norm=True), mask_fill="zeros",
    diffusion=DiffusionConfig(schedule="cosine", predict="v", learn_variance=False, high_noise_fraction=0.8),
)  # fmt: skip
