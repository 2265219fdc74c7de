"""The first blocks of Whisper's encoder: speech features that carry over to people nobody trained on.

Radford et al. 2022 (https://github.com/openai/whisper, MIT); the log-mel and the layers are as released.  How sound of
any length goes through is our choice: the features of 4 s are made from the 8 s around them, on a grid that begins with
the sound, so that memory does not grow and whoever makes a stretch makes the same numbers.  Silence lies before the
sound and behind it.  A stream would wait for up to 6 s: the rest of the 4 s, and 2 s after them; so it hears windows of
its own, which end with what there is (systems/style/live.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio.waveform import SAMPLE_RATE

FFT, HOP, MELS = 400, 160, 80
FLOOR = 1e-10      # of power
RANGE = 8.0        # decades below the loudest of a window that count
QUIET = 0.0        # decades that count as loudest at least: silence then looks like the silence Whisper is padded with
RATE = 25          # features a second
KEPT = 100         # features that a window gives: 4 s
MARGIN = 50        # features to both sides that it sees besides: 2 s
SAMPLES = SAMPLE_RATE // RATE                 # of a feature
POSITIONS = 2 * (KEPT + 2 * MARGIN)           # of a window, 20 ms each
LONGEST = 10_000   # the longest period of the sinusoids that tell positions apart, over 2 pi


@dataclass(frozen=True)
class WhisperConfig:
    """The default is what we keep of tiny.en: its stem and three of its four blocks."""

    width: int = 384
    heads: int = 6
    blocks: int = 3

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.blocks) < 1 or self.width % (2 * self.heads):
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads of even width")


class _Attention(nn.Module):
    """Of every position to every one.  [b, p, w] -> same"""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)  # the released keys have no bias: theirs is 0 here
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, p, w = x.shape
        q, k, v = self.qkv(x).reshape(b, p, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(b, p, w))
        return out


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn_ln, self.attn = nn.LayerNorm(width), _Attention(width, heads)
        self.mlp_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.attn_ln(x))
        out: Tensor = x + self.mlp(self.mlp_ln(x))
        return out


class WhisperEncoder(nn.Module):
    """Log-mel [b, 80, 800] of windows of 8 s -> features [b, 100, w] of the 4 s in their middle, 25 a second.

    Feature k is the mean of the two positions from k/25 s on.
    """

    positions: Tensor  # [400, w]

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.conv1 = nn.Conv1d(MELS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList([_Block(width, config.heads) for _ in range(config.blocks)])
        with torch.device("cpu"):  # arithmetic on no device, where networks are only measured, takes 2 s to import
            self.register_buffer("positions", sinusoids(POSITIONS, width), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        return self.features(mel)[:, MARGIN : MARGIN + KEPT]

    def features(self, mel: Tensor) -> Tensor:
        """Log-mel [b, 80, 4 n] of a window of any length up to 8 s -> all its features [b, n, w]."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).mT              # [b, 2 n, w]
        x = x + self.positions[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        features: Tensor = (x[:, ::2] + x[:, 1::2]) / 2                 # [b, n, w]
        return features

    @torch.inference_mode()
    def hear(self, blocks: Iterable[np.ndarray], shown: Sequence[range] | None = None) -> Tensor:
        """The samples of a sound at 16 kHz, block after block -> its features f16 [t, w], and those of the silence
        behind it up to the end of the grid, a second of it or more.

        shown: of which features they are made, the others are 0; None: of all.  Memory: 19 kB per second.
        """
        device, width, parts = self.positions.device, self.config.width, []
        for place, window in enumerate(windows(blocks)):
            own = range(place * KEPT, (place + 1) * KEPT)
            if shown is None or any(part.start < own.stop and own.start < part.stop for part in shown):
                parts.append(self(log_mel(window.to(device))[None])[0].half())
            else:
                parts.append(torch.zeros(KEPT, width, dtype=torch.float16, device=device))
        with torch.autocast(device.type, enabled=False):  # which in bf16 joins no float16
            return torch.cat(parts)


def windows(blocks: Iterable[np.ndarray]) -> Iterator[Tensor]:
    """f32 [128400] each: what the transforms of a window of 8 s see, half of one before and behind it besides."""
    hop, lead = KEPT * SAMPLES, MARGIN * SAMPLES + FFT // 2
    whole = hop + 2 * lead
    waiting, size, length = [np.zeros(lead, np.float32)], lead, 0
    for block in blocks:
        waiting.append(block)
        size, length = size + block.size, length + block.size
        while size >= whole:
            joined = np.concatenate(waiting)
            yield torch.from_numpy(joined[:whole].astype(np.float32))
            waiting, size = [joined[hop:]], size - hop
            length -= hop
    rest = np.concatenate(waiting)
    for start in range(0, length + SAMPLE_RATE, hop):
        part = rest[start : start + whole]
        yield torch.from_numpy(np.pad(part, (0, whole - len(part))).astype(np.float32))


def log_mel(samples: Tensor) -> Tensor:
    """f32 [400 + 160 n] -> [80, n]"""
    frames = samples.unfold(0, FFT, HOP)[:-1] * torch.hann_window(FFT, device=samples.device)
    power = torch.fft.rfft(frames).abs() ** 2                           # [n, 201]
    logarithm = (power @ _bank().to(samples.device).T).clamp(min=FLOOR).log10()
    loudest = logarithm.max().clamp(min=QUIET)
    mel: Tensor = (logarithm.maximum(loudest - RANGE) + 4) / 4
    return mel.T


def sinusoids(positions: int, width: int) -> Tensor:
    """[positions, width]: sines in the first half, cosines in the second."""
    steps = torch.exp(-np.log(LONGEST) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(positions)[:, None] * steps
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@cache
def _bank() -> Tensor:
    """Slaney's mel filters, f32 [80, 201]."""
    from librosa.filters import mel  # a second to import: only who needs a mel pays

    return torch.from_numpy(mel(sr=SAMPLE_RATE, n_fft=FFT, n_mels=MELS).astype(np.float32))
