"""The pieces a UNet is built from (Dhariwal & Nichol 2021, appendix): residual blocks, attention, embeddings."""

import math
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import fused_norm

GROUPS = 32  # of every GroupNorm
M = TypeVar("M", bound=nn.Module)


def timestep_embedding(t: Tensor, channels: int, max_period: float = 10_000.0) -> Tensor:
    """Sinusoids of t, [cos, sin].  t [b] -> [b, channels], float32."""
    half = channels // 2
    frequencies = torch.exp(-math.log(max_period) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def zeroed(module: M) -> M:
    """The module with all parameters zero, so that a residual branch starts as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class Norm(nn.GroupNorm):
    """A GroupNorm that computes in the type of what it is given (its sums in float32 all the same): autocast would
    make float32 of it and of all that follows until the next convolution, which is what a GPU then waits for."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        with torch.autocast(input.device.type, enabled=False):
            weight, bias = self.weight.to(input.dtype), self.bias.to(input.dtype)
            return F.group_norm(input, self.num_groups, weight, bias, self.eps)

    def factors(self, count: int) -> tuple[Tensor, Tensor]:
        """Weight and bias for each of so many items, float32 [count, channels]."""
        return self.weight.float().expand(count, -1), self.bias.float().expand(count, -1)


def normalization(channels: int) -> Norm:
    return Norm(GROUPS, channels)


class Resample(nn.Module):
    """Average pooling by the stride, or nearest up-sampling by it; no parameters."""

    def __init__(self, stride: tuple[int, int], *, up: bool) -> None:
        super().__init__()
        self.stride, self.up = stride, up

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            return F.interpolate(x, scale_factor=(float(self.stride[0]), float(self.stride[1])), mode="nearest")
        return F.avg_pool2d(x, self.stride)


class ModulatedConv2d(nn.Conv2d):
    """A 3 x 3 convolution whose weights a vector scales, input channel by channel of the input (Karras et al. 2020).

    The scaled weights of each output are brought back to the length that they have unscaled (demodulated, in eq. 3 to
    length 1), so that the vector says what is looked at and not how loud it is.  At first little is scaled.
    Scaling input and output does the same with one set of weights for all items.
    x [b, c, h, w], vector [b, modulation] -> [b, out, h, w].
    """

    def __init__(self, channels: int, out_channels: int, modulation: int) -> None:
        super().__init__(channels, out_channels, 3, padding=1)
        self.scales = nn.Linear(modulation, channels)
        nn.init.ones_(self.scales.bias)

    def factors(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """What the input is multiplied by [b, channels], and the output divided by [b, out], float32."""
        scales: Tensor = self.scales(vector.to(self.scales.weight.dtype)).float()
        power = self.weight.float().square().sum(dim=(2, 3))                            # [out, c]
        return scales, ((scales**2 @ power.T + 1e-8) / (power.sum(dim=1) + 1e-8)).sqrt()

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:  # type: ignore[override]
        scales, lengths = self.factors(vector)
        h: Tensor = F.conv2d(x * scales[:, :, None, None].to(x.dtype), self.weight, padding=1)
        h = h / lengths[:, :, None, None].to(h.dtype)
        return h if self.bias is None else h + self.bias[:, None, None].to(h.dtype)


class ResBlock(nn.Module):
    """Norm, SiLU, conv, plus the embedding, norm, SiLU, conv, around a skip.  [b, c, h, w] -> [b, out, h', w'].

    The embedding is an additive bias or, with `scale_shift_norm`, scales and shifts the second norm
    (Dhariwal & Nichol 2021, eq. 3).  With `resample` both branches change resolution before the first conv.
    With `modulation`, the width of a vector, that vector modulates the first conv.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        embedding: int,
        *,
        dropout: float = 0.0,
        scale_shift_norm: bool = False,
        resample: Resample | None = None,
        modulation: int = 0,
    ) -> None:
        super().__init__()
        self.modulated = modulation > 0
        self.dropout = dropout
        self.scale_shift_norm = scale_shift_norm
        self.resample = resample
        conv = (
            ModulatedConv2d(channels, out_channels, modulation)
            if modulation
            else nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.in_layers = nn.Sequential(normalization(channels), nn.SiLU(), conv)
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, out_channels * (2 if scale_shift_norm else 1)))
        self.out_layers = nn.Sequential(
            normalization(out_channels),
            nn.SiLU(),
            nn.Dropout(dropout),
            zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
        )
        self.skip_connection = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor, modulation: Tensor | None = None) -> Tensor:
        if fused_norm.usable(x) and not (self.training and self.dropout):
            return self._fused(x, embedding, modulation)
        norm, activation, conv = self.in_layers
        h = activation(norm(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = conv(h, modulation) if self.modulated else conv(h)
        bias = self.emb_layers(embedding)[:, :, None, None].to(h.dtype)
        if self.scale_shift_norm:
            scale, shift = bias.chunk(2, dim=1)
            h = self.out_layers[0](h) * (1 + scale) + shift
            h = self.out_layers[1:](h)
        else:
            h = self.out_layers(h + bias)
        output: Tensor = self.skip_connection(x) + h
        return output

    def _fused(self, x: Tensor, embedding: Tensor, modulation: Tensor | None) -> Tensor:
        """The same, all that lies between two convolutions in one pass.  Factors are float32 [b, channels]."""
        norm, conv = cast(Norm, self.in_layers[0]), cast(nn.Conv2d, self.in_layers[2])
        addend, bias = self.emb_layers(embedding).float(), cast(Tensor, conv.bias).float().expand(len(x), -1)
        before, after = x.new_ones(len(x), x.shape[1], dtype=torch.float32), torch.ones_like(bias)
        gate, pre_scale = before, after
        if isinstance(conv, ModulatedConv2d) and modulation is not None:
            gate, lengths = conv.factors(modulation)
            pre_scale = 1 / lengths
        h = fused_norm.norm_silu(x, norm, *norm.factors(len(x)), gate, before, torch.zeros_like(before))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = F.conv2d(h, conv.weight, padding=1)
        norm = cast(Norm, self.out_layers[0])
        scale, shift = norm.factors(len(x))
        if self.scale_shift_norm:
            more, offset = addend.chunk(2, dim=1)
            scale, shift = scale * (1 + more), shift * (1 + more) + offset
        else:
            bias = bias + addend
        h = fused_norm.norm_silu(h, norm, scale, shift, after, pre_scale, bias)
        return self.skip_connection(x) + self.out_layers[3](h)  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Self-attention over all positions, and over context tokens beside them when there are any.

    x [b, c, h, w], context [b, n, context_channels] or None -> [b, c, h, w].  A context that is one expanded for all
    items is projected once.
    The projection keeps the legacy order of the released weights: heads first, then q, k, v within a head.
    """

    def __init__(self, channels: int, head_channels: int, context_channels: int = 0) -> None:
        super().__init__()
        if channels % head_channels:
            raise ValueError(f"{channels} channels do not divide into heads of {head_channels}")
        self.heads = channels // head_channels
        self.norm = normalization(channels)
        self.qkv = nn.Conv1d(channels, channels * 3, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))
        self.context_kv = nn.Conv1d(context_channels, channels * 2, 1) if context_channels else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        b, c, h, w = x.shape
        flat = x.reshape(b, c, h * w)
        q, k, v = self.qkv(self.norm(flat)).reshape(b, self.heads, -1, h * w).chunk(3, dim=2)  # [b, heads, c', hw]
        if self.context_kv is not None and context is not None:
            shared = context.stride(0) == 0  # one context for all items, expanded
            tokens: Tensor = self.context_kv((context[:1] if shared else context).mT)
            tokens = tokens.reshape(len(tokens), self.heads, -1, context.shape[1]).expand(b, -1, -1, -1)
            keys, values = tokens.chunk(2, dim=2)
            k, v = torch.cat([k, keys], dim=3), torch.cat([v, values], dim=3)
        out = F.scaled_dot_product_attention(q.mT.contiguous(), k.mT.contiguous(), v.mT.contiguous())
        attended: Tensor = self.proj_out(out.mT.reshape(b, c, h * w))
        return (flat + attended).reshape(b, c, h, w)


class EmbedSequential(nn.Sequential):
    """A sequence whose residual blocks get the embedding and the modulation, and whose attention gets the context."""

    def forward(  # type: ignore[override]
        self, x: Tensor, embedding: Tensor, context: Tensor | None = None, modulation: Tensor | None = None
    ) -> Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, embedding, modulation)
            elif isinstance(layer, AttentionBlock):
                x = layer(x, context)
            else:
                x = layer(x)
        return x
