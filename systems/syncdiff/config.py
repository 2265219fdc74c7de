"""What a SyncDiff is.  What the paper's known text says is marked (paper); everything else is our choice."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from audio.avhubert import AvHubertConfig
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig

from ..inpainting import check_space, unet_in
from ..sound import WIDTHS, SoundConfig

PICTURES = 3  # that the network is shown: the noisy face, the masked face (paper), the identity face (paper)


@dataclass(frozen=True)
class PoseConfig:
    """How much of the frame before each one the network is shown.

    kind    bottleneck: a few numbers of it, as style (that there is one: paper; where it enters: our choice);
            full: all of it, as channels, the shortcut that the bottleneck is there to close; none: nothing
    width   how many numbers of a frame pass the bottleneck (our choice: the paper's is not known)
    history how many frames before each are shown: 1 (paper); of more, attention over time makes one style, which the
            paper names as future work
    widths  of the encoder's layers, each halving the picture (our choice)
    """

    kind: Literal["none", "bottleneck", "full"] = "bottleneck"
    width: int = 16
    history: int = 1
    widths: tuple[int, ...] = (32, 64, 96, 128)

    def __post_init__(self) -> None:
        if self.width < 1 or not self.widths:
            raise ValueError("a bottleneck lets at least 1 number pass, through at least 1 layer")
        if self.history < 1 or (self.history > 1 and self.kind != "bottleneck"):
            raise ValueError("a history of more than 1 frame needs a bottleneck")


@dataclass(frozen=True)
class SyncDiffConfig:
    """The defaults are the paper's where it is known.

    unet                   for faces of unet.image_size pixels; its channels in and the width of its context follow from
                           the rest, and stay 9 and 0 here
    latents                (): in pixels; else channels, rows and columns of a face's latents (our choice: not known)
    autoencoder            the fingerprint of the autoencoder that these are of: weights go with no other
    audio_encoder          avhubert (paper) or mel, Diff2Lip's encoder, which is not the paper's configuration
    avhubert               Base (paper)
    frozen                 of its layers that stay as published: 9 of 12 are the paper's best
    fbank_frames           of 40 ms that AV-HuBERT hears around a frame: 2 s (our choice)
    audio_tokens           that the network attends to: AV-HuBERT's features of the middle 0.2 s, or the embedding of
                           the mel window, spread over so many (our choice)
    mel, audio_embed_dim   the encoder for sound: mel, and the width of its embedding, those of a sync expert (our
                           choice)
    pose                   what passes of the frame before
    diffusion              (our choice: Diff2Lip's)
    sampling, fast, best   how generate.py samples: by default, and with the other two qualities (our choice)
    mask_ratio             share of the rows hidden, from below (our choice: the paper's mask is not known)
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "sound": "audio_encoder",
        "rows": "fbank_frames",
        "tokens": "audio_tokens",
        "heard": "audio_embed_dim",
        "hide": "mask_ratio",
    }

    unet: UNetConfig = field(default_factory=UNetConfig)
    latents: tuple[int, ...] = ()
    autoencoder: str = ""
    audio_encoder: Literal["avhubert", "mel"] = "avhubert"
    avhubert: AvHubertConfig = field(default_factory=AvHubertConfig)
    frozen: int = 9
    fbank_frames: int = 50
    audio_tokens: int = 5
    mel: SoundConfig = field(default_factory=SoundConfig)
    audio_embed_dim: int = 256
    pose: PoseConfig = field(default_factory=PoseConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    sampling: SampleConfig = field(default_factory=SampleConfig)
    fast: SampleConfig = field(default_factory=lambda: SampleConfig("dpm++", "8"))
    best: SampleConfig = field(default_factory=lambda: SampleConfig("ddim", "ddim100"))
    mask_ratio: float = 0.5

    def __post_init__(self) -> None:
        check_space(self.latents, self.unet.image_size, self.mask_ratio, self.diffusion)
        outputs = 6 if self.diffusion.learn_variance else 3
        unet = self.unet
        if (unet.in_channels, unet.context_channels, unet.out_channels) != (3 * PICTURES, 0, outputs):
            raise ValueError(f"unet.in_channels is {3 * PICTURES} here, context_channels 0, out_channels {outputs}")
        if not 0 <= self.frozen <= self.avhubert.layers:
            raise ValueError(f"of {self.avhubert.layers} layers {self.frozen} cannot be frozen")
        if not 1 <= self.audio_tokens <= self.fbank_frames:
            raise ValueError(f"{self.audio_tokens} tokens cannot be the middle of {self.fbank_frames} rows")

    @property
    def size(self) -> int:
        """Of a face, pixels."""
        return self.unet.image_size

    @property
    def network(self) -> UNetConfig:
        """The UNet as it is built."""
        context = self.avhubert.width if self.audio_encoder == "avhubert" else WIDTHS[-1]
        pictures = PICTURES + (self.pose.kind == "full")
        return replace(unet_in(self.latents, self.unet, pictures), context_channels=context)
