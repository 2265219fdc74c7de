"""Stage 1: lip motion from sound, in the manner of a style reference (arXiv 2408.05412).

Known of the paper: a Transformer, its encoder over the reference's sound, its decoder over the input sound; in between
attention with query = input sound, key = reference sound, value = reference lip motion.  All else is our choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio import Sound
from audio.whisper import WhisperConfig, WhisperEncoder
from core.errors import Mismatch
from guided_diffusion.blocks import zeroed

from ..sound import WIDTHS, SoundConfig, SoundEncoder
from ..stage1 import Heard, StyleReference
from .attention import AudioAwareAttention, Reference, TransformerLayer

FPS = Fraction(25)  # at which lips move
HEARD = 64     # windows of sound heard at a time
WINDOW = 100   # frames predicted at a time: 4 s
POOLED = 4, 2  # bands and moments that remain of the sound encoder's 8 x 8
HEARD_WIDTH = WIDTHS[-1] * POOLED[0] * POOLED[1]
NOBODY = 8     # learned frames that stand in where there is no reference


@dataclass(frozen=True)
class PredictorConfig:
    """All our choice.

    audio_encoder  a sync expert's of the mel, as `sound` says, or the first blocks of Whisper's, as `whisper` says
    reach    frames to each side that a layer sees of the sound around a frame, besides what the frame's window holds
    dropout  share of what a layer adds that is left out in training
    gain     whether each frame's movement is widened by a factor of its own, which `loss.range` alone teaches: what the
             other terms teach is a mean, which moves less than real lips do
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"ears": "audio_encoder"}

    audio_encoder: Literal["mel", "whisper"] = "mel"
    sound: SoundConfig = field(default_factory=lambda: SoundConfig(res_blocks=1))
    whisper: WhisperConfig = field(default_factory=WhisperConfig)
    width: int = 128
    heads: int = 4
    layers: int = 2
    reach: int = 6
    dropout: float = 0.1
    gain: bool = False

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.layers) < 1 or self.reach < 0 or not 0 <= self.dropout < 1:
            raise ValueError("width, heads and layers are 1 or more, reach is 0 or more, dropout lies in [0, 1)")
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads")

    @property
    def heard(self) -> int:
        """How many numbers the ears make of a frame."""
        return HEARD_WIDTH if self.audio_encoder == "mel" else self.whisper.width


@dataclass(frozen=True)
class StyleContext:
    """A manner of moving the lips, as the decoder attends to it.

    parts: what is attended to, with its share of the movement; neutral [d]: around which mouth that is;
    audio_strength: by how much all movement is widened.
    """

    parts: tuple[tuple[float, Reference], ...]
    neutral: Tensor
    audio_strength: float = 1.0


class Predicted(NamedTuple):
    """Of frames and a reference.

    movement [b, t, d]   around the neutral mouth, float32: the mean times the gain
    mean [b, t, d]       what is likeliest; gain [b, t, 1]: by how much it is widened
    attention [b, t, r]  to each frame of the reference, mean over heads and layers
    """

    movement: Tensor
    mean: Tensor
    gain: Tensor
    attention: Tensor


class MotionPredictor(nn.Module):
    """Predicts the movement around a neutral mouth.

    What it sees of a reference's motion is its difference from the mean, and what it predicts is added to that mean:
    the shape of a mouth goes through as it is, the manner of moving it is learned.
    """

    def __init__(self, config: PredictorConfig, numbers: int) -> None:
        super().__init__()
        self.config, self.numbers = config, numbers
        width = config.width
        of_mel = config.audio_encoder == "mel"
        self.sound_encoder = SoundEncoder(config.sound) if of_mel else WhisperEncoder(config.whisper)
        self.listen = nn.Sequential(nn.LayerNorm(config.heard), nn.Linear(config.heard, width))

        def layer(style: AudioAwareAttention | None) -> TransformerLayer:
            return TransformerLayer(width, config.heads, config.reach, config.dropout, style)

        self.encoder = nn.ModuleList([layer(None) for _ in range(config.layers)])
        self.encoder_norm = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(
            [layer(AudioAwareAttention(width, config.heads, numbers)) for _ in range(config.layers)]
        )
        self.head = nn.Sequential(nn.LayerNorm(width), zeroed(nn.Linear(width, numbers)))
        self.gain = nn.Sequential(nn.LayerNorm(width), zeroed(nn.Linear(width, 1))) if config.gain else None
        self.nobody_sound = nn.Parameter(nn.init.normal_(torch.empty(NOBODY, width)))
        self.nobody_motion = nn.Parameter(nn.init.normal_(torch.empty(NOBODY, numbers), std=0.1))

    def forward(
        self, heard: Tensor, reference_heard: Tensor, reference_motion: Tensor, reference_mask: Tensor
    ) -> Tensor:
        """heard [b, t, h]; reference [b, r, h], [b, r, d] and [b, r] bool, False where there is none, in all of a row:
        nobody's manner around the training clips' mean.  -> motion [b, t, d]"""
        movement, neutral = around_neutral(reference_motion, reference_mask)
        return neutral[:, None] + self.movement(heard, reference_heard, movement, reference_mask).movement

    def hear(self, sound: Sound, shown: Sequence[range]) -> Heard:
        """A sound through the ears, which are not trained here; only frames of these ranges will be asked for.

        Raises BadInput if the ears need more than is known of the sound.
        """
        if isinstance(self.sound_encoder, WhisperEncoder):
            known = self.sound_encoder.hear(sound.blocks(), shown)

            def heard(first: int, stop: int) -> Tensor:
                return known[torch.arange(first, stop, device=known.device).clamp(max=len(known) - 1)].float()

            return heard
        device = self.nobody_motion.device
        return lambda first, stop: self.hear_windows(torch.from_numpy(sound.mel.windows(first, stop, FPS)).to(device))

    def hear_windows(self, windows: Tensor) -> Tensor:
        """What ears of the kind mel make of windows of it: [n, 80, 16] -> [n, h], float32."""
        with torch.no_grad():
            parts = [F.adaptive_avg_pool2d(self.sound_encoder(part), POOLED) for part in torch.split(windows, HEARD)]
        return torch.cat(parts).flatten(1).float() if len(windows) else windows.new_empty(0, HEARD_WIDTH)

    def movement(
        self, heard: Tensor, reference_heard: Tensor, reference_movement: Tensor, reference_mask: Tensor
    ) -> Predicted:
        """heard [b, t, h], reference [b, r, h], [b, r, d], [b, r]"""
        return self._decoded(heard, self._remembered(reference_heard, reference_movement, reference_mask))

    def _remembered(self, heard: Tensor, movement: Tensor, mask: Tensor) -> Reference:
        """The encoder over the reference's sound: what the decoder attends to.  Nobody stands in for none."""
        x = self.listen(heard)
        for layer in self.encoder:
            x, _ = layer(x)
        b = len(x)
        sound = torch.cat([self.encoder_norm(x), self.nobody_sound.to(x.dtype).expand(b, -1, -1)], dim=1)
        motion = torch.cat([movement, self.nobody_motion.expand(b, -1, -1)], dim=1)
        alone = ~mask.any(dim=1, keepdim=True)
        return sound, motion, torch.cat([mask, alone.expand(b, NOBODY)], dim=1)

    def _decoded(self, heard: Tensor, memory: Reference) -> Predicted:
        x, motions, weights = self.listen(heard), [], []
        for layer in self.decoder:
            x, attention = layer(x, memory)
            motions.append(attention.motion)
            weights.append(attention.weights.detach())
        frames = memory[0].shape[1] - NOBODY
        mean = self.head(x).float() + torch.stack(motions).mean(dim=0)
        # the gain is read from what the mean learned, and does not change it
        gain = mean.new_ones(*mean.shape[:2], 1) if self.gain is None else self.gain(x.detach()).float().exp()
        return Predicted(mean * gain, mean, gain, torch.stack(weights).mean(dim=0)[..., :frames])

    @torch.inference_mode()
    def predict(
        self,
        heard: Tensor,
        reference: StyleReference | None,
        strength: float = 1.0,
        neutral: Tensor | None = None,
        audio_strength: float = 1.0,
    ) -> Tensor:
        """The motion [t, d] of what is heard [t, h], of any length, made in windows on a fixed grid that overlap by all
        that a frame can see: the same as if made at once.

        strength  1 moves as the reference does, 0 as nobody in particular, in between in between
        neutral   [d] of the mouth that is to move so; None: the reference's, or the training clips' mean without one
        audio_strength  1 moves as far around it as was learned, 0 not at all, 1.5 half as far again
        """
        return self.move(heard, self.style_context(reference, strength, neutral, audio_strength))

    @torch.inference_mode()
    def style_context(
        self,
        reference: StyleReference | None,
        strength: float = 1.0,
        neutral: Tensor | None = None,
        audio_strength: float = 1.0,
    ) -> StyleContext:
        """A manner of moving, for any number of sounds; see `predict`.

        Raises Mismatch if nobody has trained the predictor, as in a checkpoint whose reader alone was trained.
        """
        if not any(weight.any() for weight in self.head[1].parameters()):
            raise Mismatch(
                "motion.safetensors: can read lip motion and was never trained to predict it; train it with train.py"
                " --system motion --init that file, or say what the lips do with --motion_in"
            )
        if neutral is None:
            neutral = self.nobody_motion.new_zeros(self.numbers) if reference is None else reference.neutral
        share = 0.0 if reference is None else strength
        parts = [(share, reference), (1 - share, None)]
        attended = tuple((share, self._memory(whose)) for share, whose in parts if share != 0)
        return StyleContext(attended, neutral, audio_strength)

    @torch.inference_mode()
    def move(self, heard: Tensor, style_context: StyleContext) -> Tensor:
        """The motion [t, d] of what is heard [t, h]; see `predict`."""
        heard = heard[None]
        movement = torch.zeros(1, heard.shape[1], self.numbers, device=heard.device)
        for share, memory in style_context.parts:
            movement = movement + share * self._in_windows(heard, memory)[0]
        return style_context.neutral + style_context.audio_strength * movement[0]

    @torch.inference_mode()
    def attention(self, heard: Tensor, reference: StyleReference) -> Tensor:
        """How much each frame of the reference counts for each of the sound, mean over heads and layers.  [t, r]"""
        return self._in_windows(heard[None], self._memory(reference))[1][0]

    def _memory(self, reference: StyleReference | None) -> Reference:
        if reference is None:
            blank = self.nobody_motion.new_zeros
            return self._remembered(blank(1, 0, self.config.heard), blank(1, 0, self.numbers), blank(1, 0).bool())
        movement = (reference.motion - reference.neutral)[None]
        mask = torch.ones(1, len(reference.motion), dtype=torch.bool, device=movement.device)
        return self._remembered(reference.heard[None], movement, mask)

    def _in_windows(self, heard: Tensor, memory: Reference) -> tuple[Tensor, Tensor]:
        """Movement and attention of `_decoded`, WINDOW frames at a time, each with the frames to both sides that it
        can see."""
        margin = self.config.layers * self.config.reach
        parts = []
        for start in range(0, heard.shape[1], WINDOW):
            first = max(0, start - margin)
            part = self._decoded(heard[:, first : start + WINDOW + margin], memory)
            own = slice(start - first, start - first + WINDOW)
            parts.append((part.movement[:, own], part.attention[:, own]))
        movements, attentions = zip(*parts, strict=True)
        return torch.cat(movements, dim=1), torch.cat(attentions, dim=1)


def around_neutral(motion: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Motion [b, r, d] as its difference from its mean where the mask [b, r] is True, 0 elsewhere; that mean [b, d],
    0 where nothing is."""
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
    neutral = (motion * mask[..., None]).sum(dim=1) / count
    return (motion - neutral[:, None]) * mask[..., None], neutral
