"""An expert of Wav2Lip's kind (Prajwal et al. 2020): five lower-half faces against one mel window, by cosine.

Trained by telling each window's own sound from those of other moments of the same clip (InfoNCE, van den Oord et al.
2018; our choice).  Wav2Lip's one negative at a time is the case of two windows a clip, and is known to stay at ln 2
for long; sounds of other clips would teach who speaks instead of what.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dataset import ClipBatch
from guided_diffusion.blocks import normalization

from ..lip_sync_expert import FRAMES
from ..model import Model
from ..sound import SoundConfig, SoundEncoder, embedding_head


@dataclass(frozen=True)
class SyncConfig:
    """size: of the whole face, of which the lower half is seen, `shrink` times smaller.  All our choice."""

    size: int = 128
    shrink: int = 2
    widths: tuple[int, ...] = (32, 64, 128, 256)
    embedding: int = 256
    sound: SoundConfig = field(default_factory=lambda: SoundConfig(res_blocks=1))

    def __post_init__(self) -> None:
        if self.size % (2 * self.shrink * 2 ** len(self.widths)):
            raise ValueError(f"size {self.size} does not halve {len(self.widths)} times after shrinking; use 128")


class SyncExpert(Model):
    """Embeds faces and sound into one space; in sync means near."""

    config: SyncConfig

    def __init__(self, config: SyncConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        width = FRAMES * 3
        for out in config.widths:
            layers += [*_conv(width, out, stride=2), *_conv(out, out, stride=1)]
            width = out
        self.face_encoder = nn.Sequential(*layers)
        rows = config.size // 2 // config.shrink // 2 ** len(config.widths)
        self.face_head = nn.Linear(width * rows * rows * 2, config.embedding)
        self.audio_encoder = SoundEncoder(config.sound)
        self.audio_head = embedding_head(config.embedding)
        self.log_scale = nn.Parameter(torch.tensor(math.log(14.0)))  # of the cosines, as CLIP starts it

    @property
    def size(self) -> int:
        return self.config.size

    def embed_faces(self, faces: Tensor) -> Tensor:
        """faces [b, 5, 3, s, s] in [-1, 1], of another size too, which is brought to the own -> unit vectors [b, d]."""
        lower = faces[:, :, :, faces.shape[3] // 2 :].flatten(1, 2)     # [b, 15, s/2, s]
        own = (self.size // 2, self.size)
        if lower.shape[2:] != own:
            lower = F.interpolate(lower, own, mode="bilinear", antialias=True, align_corners=False)
        lower = F.avg_pool2d(lower, self.config.shrink)
        return F.normalize(self.face_head(self.face_encoder(lower).flatten(1)).float(), dim=1)

    def embed_sound(self, speech: Tensor) -> Tensor:
        """speech [b, 80, 16] in [-4, 4] -> unit vectors [b, d]."""
        return F.normalize(self.audio_head(self.audio_encoder(speech)).float(), dim=1)

    def sync_probability(self, faces: Tensor, speech: Tensor) -> Tensor:
        """The cosine of each pair, mapped to [0, 1].  [b]"""
        return ((self.embed_faces(faces) * self.embed_sound(speech)).sum(dim=1) + 1) / 2

    def losses(self, clips: ClipBatch, generator: Generator) -> dict[str, dict[str, Tensor]]:
        """Both directions of InfoNCE among the windows of each clip; ln(windows a clip) is chance.

        ValueError if the batch does not say which windows are of one clip.
        """
        if clips.clip is None:
            raise ValueError("an expert learns from windows of the same clip; let the batch number its clips")
        cosines = self.embed_faces(clips.faces) @ self.embed_sound(clips.speech).T
        logits = cosines * self.log_scale.clamp(max=math.log(100)).exp()
        logits = logits.masked_fill(clips.clip[:, None] != clips.clip[None, :], -torch.inf)
        own = torch.arange(len(logits), device=logits.device)
        return {
            "expert": {
                "find_sound": 0.5 * F.cross_entropy(logits, own),
                "find_face": 0.5 * F.cross_entropy(logits.T, own),
            }
        }

    def objectives(self) -> dict[str, list[nn.Parameter]]:
        return {"expert": list(self.parameters())}


def _conv(width: int, out: int, *, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(width, out, 3, stride=stride, padding=1), normalization(out), nn.SiLU()]
