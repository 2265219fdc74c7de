"""Diff2Lip's network: a UNet that hears.  In its released configuration it has the released 632 keys and shapes."""

from torch import Tensor

from guided_diffusion.unet import UNet, UNetConfig

from ..sound import SoundConfig, SoundEncoder, style_head


class Diff2LipNetwork(UNet):
    """The UNet, its sound encoder, and the head that makes a style of the sound (Diff2Lip, section 3)."""

    def __init__(self, config: UNetConfig, sound: SoundConfig) -> None:
        super().__init__(config)
        self.audio_encoder = SoundEncoder(sound)
        self.audio_encoder_to_style = style_head(config.embedding, sound)

    def listen(self, mel: Tensor) -> Tensor:
        """mel [b, 80, 16] in [-4, 4] -> style [b, embedding].  Once per frame; every step reuses it."""
        output: Tensor = self.audio_encoder_to_style(self.audio_encoder(mel)).flatten(1)
        return output
