"""The sound path of AV-HuBERT Base (Shi et al. 2022), which SyncDiff listens with: plain PyTorch, no fairseq.

Modules and parameters have the names of the published checkpoints, so that their keys need no map; what belongs to
other paths of those files is listed in OTHER_PATHS.

What a feature knows: attention is over the whole of what is given, so a feature depends on all rows of its window, and
on no sound outside it.  Long sound is heard in windows of one length, one around each video frame, which overlap by
all but the time between two frames (`FilterBanks.windows`); a frame's features are then the same wherever it is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio.filterbank import ROW

OTHER_PATHS = ("mask_emb", "feature_extractor_video.", "final_proj.", "label_embs_concat")
"""What begins so in a published file is not of the sound path: the mask's embedding, the eyes, the targets' heads."""


@dataclass(frozen=True)
class AvHubertConfig:
    """The defaults are AV-HuBERT Base: 90 million parameters on the sound path."""

    layers: int = 12
    width: int = 768
    heads: int = 12
    hidden: int = 3072
    kernel: int = 128
    groups: int = 16

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % self.groups:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads and {self.groups} groups")
        if min(self.layers, self.kernel) < 1:
            raise ValueError("AV-HuBERT has at least 1 layer and a kernel of at least 1")


class AvHubert(nn.Module):
    """rows f32 [n, w, 104] at 25 Hz, as `FilterBanks.windows` gives them -> features [n, w, width]."""

    def __init__(self, config: AvHubertConfig) -> None:
        super().__init__()
        self.config = config
        self.feature_extractor_audio = _Projection(config.width)
        self.layer_norm = nn.LayerNorm(2 * config.width)
        self.post_extract_proj = nn.Linear(2 * config.width, config.width)
        self.encoder = _Encoder(config)

    def forward(self, rows: Tensor, *, layer: int | None = None) -> Tensor:
        """layer: the output of this Transformer layer, 1 being the first; None: of the last one, normalised.

        ValueError if there is no such layer.
        """
        sound = self.feature_extractor_audio(rows)                      # [n, w, width]
        both = torch.cat([sound, torch.zeros_like(sound)], dim=2)       # nothing is seen
        features: Tensor = self.encoder(self.post_extract_proj(self.layer_norm(both)), layer)
        return features

    def freeze(self, layers: int) -> None:
        """Fixes the first so many layers and all that comes before them; 0 fixes nothing.  ValueError if impossible."""
        if not 0 <= layers <= self.config.layers:
            raise ValueError(f"of {self.config.layers} layers {layers} cannot be frozen")
        if not layers:
            return
        before = (self.feature_extractor_audio, self.layer_norm, self.post_extract_proj, self.encoder.pos_conv)
        for part in (*before, *self.encoder.layers[:layers]):
            part.requires_grad_(False)
        if layers == self.config.layers:
            self.encoder.layer_norm.requires_grad_(False)


def sound_path(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under a published checkpoint's `model` without what OTHER_PATHS names; nothing else is dropped."""
    return {name: value for name, value in weights.items() if not name.startswith(OTHER_PATHS)}


class _Projection(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(ROW, width)

    def forward(self, rows: Tensor) -> Tensor:
        projected: Tensor = self.proj(rows)
        return projected


class _Encoder(nn.Module):
    """Positions by convolution, then pre-norm Transformer layers (wav2vec 2.0, Baevski et al. 2020)."""

    def __init__(self, config: AvHubertConfig) -> None:
        super().__init__()
        self.pos_conv = nn.Sequential(_PositionalConvolution(config.width, config.kernel, config.groups))
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, layer: int | None) -> Tensor:
        if layer is not None and not 1 <= layer <= len(self.layers):
            raise ValueError(f"there are layers 1 to {len(self.layers)}, not {layer}")
        x = x + self.pos_conv(x.mT).mT
        for block in self.layers[:layer]:
            x = block(x)
        return x if layer is not None else self.layer_norm(x)


class _PositionalConvolution(nn.Module):
    """[n, width, w] -> the same; its weight is g v / |v|, the norm of each position of the kernel by itself."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.groups, self.padding = groups, kernel // 2
        self.trailing = 1 - kernel % 2                                  # an even kernel gives one step too many
        self.weight_v = nn.Parameter(torch.randn(width, width // groups, kernel) * (4 / (kernel * width)) ** 0.5)
        self.weight_g = nn.Parameter(self.weight_v.detach().norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(0, 1), keepdim=True))
        h = F.conv1d(x, weight, self.bias, padding=self.padding, groups=self.groups)
        return F.gelu(h[..., : h.shape[-1] - self.trailing])


class _Layer(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)).  [n, w, width] -> the same"""

    def __init__(self, config: AvHubertConfig) -> None:
        super().__init__()
        self.self_attn = _SelfAttention(config.width, config.heads)
        self.self_attn_layer_norm = nn.LayerNorm(config.width)
        self.fc1 = nn.Linear(config.width, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.width)
        self.final_layer_norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        x = x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))
        return x


class _SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, w, width = x.shape
        q, k, v = (
            projection(x).view(n, w, self.heads, -1).transpose(1, 2)    # [n, heads, w, width / heads]
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        output = F.scaled_dot_product_attention(q, k, v)
        attended: Tensor = self.out_proj(output.transpose(1, 2).reshape(n, w, width))
        return attended
