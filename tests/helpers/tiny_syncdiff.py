"""SyncDiff at the size of a thumbnail, listening by AV-HuBERT and by the mel."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from audio import BANK_RATE, FilterBanks
from audio.avhubert import AvHubertConfig
from dataset import Clip
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig
from systems.sound import SoundConfig
from systems.syncdiff import PoseConfig, SyncDiffConfig
from tests.helpers.toy import talking

UNET = UNetConfig(
    image_size=32, channels=32, channel_mult=(1, 2), res_blocks=1, attention_resolutions=(16,), head_channels=32,
    patch=2,
)
EARS = AvHubertConfig(layers=3, width=32, heads=2, hidden=32, kernel=8, groups=4)
PAPER = SyncDiffConfig(
    unet=UNET, avhubert=EARS, frozen=2, fbank_frames=8, audio_tokens=3, pose=PoseConfig(width=4, widths=(32, 32)),
    sampling=SampleConfig("dpm++", "3"),
)  # fmt: skip
MEL = replace(
    PAPER, audio_encoder="mel", mel=SoundConfig(res_blocks=1),
    unet=replace(UNET, out_channels=3, scale_shift_norm=True),
    diffusion=DiffusionConfig(schedule="cosine", predict="v", learn_variance=False),
)  # fmt: skip


def heard(number: int = 0, *, frames: int = 16, speaker: str = "ann") -> Clip:
    """`talking` with filter banks, which are as loud as its mel, with a shape of their own."""
    clip = talking(number, frames=frames, speaker=speaker)
    moments = np.minimum((np.arange(frames * 4) * 80 / BANK_RATE).astype(int), len(clip.mel.columns) - 1)
    loudness = clip.mel.columns[moments, :1]
    shape = np.random.default_rng(5).normal(size=(2, 26)).astype(np.float32)
    return replace(clip, fps=Fraction(25), banks=FilterBanks(loudness * shape[:1] + shape[1:]))
