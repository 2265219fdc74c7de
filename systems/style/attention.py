"""The layers of stage 1's Transformer.  None knows an absolute place, so that sequences of any length are alike."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARP = 2.0  # times larger than usual begin the weights of query and key, so that not all sounds count alike

Reference = tuple[Tensor, Tensor, Tensor]  # sound [b, r, w], motion [b, r, d], mask [b, r]


class LocalAttention(nn.Module):
    """Self-attention of each frame to those at most `reach` away, with a bias for each distance.  [b, t, w] -> same."""

    def __init__(self, width: int, heads: int, reach: int) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.near = nn.Parameter(torch.zeros(heads, 2 * reach + 1))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, t, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        places = torch.arange(t, device=x.device)
        distance = places[None, :] - places[:, None]                    # [t, t]
        bias = self.near[:, distance.clamp(-self.reach, self.reach) + self.reach]
        bias = bias.masked_fill(distance.abs() > self.reach, -torch.inf).to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(b, t, w))
        return out


class AttentionOutput(NamedTuple):
    """Of attention to a reference.

    features [b, t, w]  for the layers that follow
    motion [b, t, d]    that of the reference's frames themselves, a weighted sum
    weights [b, t, r]   how much each frame counted, mean over heads
    """

    features: Tensor
    motion: Tensor
    weights: Tensor


class AudioAwareAttention(nn.Module):
    """Query: the input sound; key: the reference's sound; value: its lip motion (the paper's equation in words).

    It begins as a likeness of sounds: query and key start with the same weights.  The motion that it attends to is
    added to the movement that is predicted, so that it learns what to attend to from the first step: movement is a
    difference from the mean, so attending to everything adds nothing (both our choice).
    """

    def __init__(self, width: int, heads: int, numbers: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        with torch.no_grad():
            self.query.weight.mul_(SHARP)
        self.key.load_state_dict(self.query.state_dict())
        self.value = nn.Linear(numbers, width)
        self.out = nn.Linear(width, width)
        self.recall = nn.Parameter(torch.full((heads, numbers), 1 / heads))

    def forward(self, x: Tensor, sound: Tensor, motion: Tensor, mask: Tensor) -> AttentionOutput:
        """x [b, t, w], sound [b, r, w], motion [b, r, d], mask [b, r] True where it may attend, somewhere in each."""
        q, k = self._split(self.query(self.norm(x))), self._split(self.key(sound))
        v = self._split(self.value(motion))                             # each [b, heads, n, w/heads]
        scores = (q @ k.mT).float() * q.shape[-1] ** -0.5
        weights = scores.masked_fill(~mask[:, None, None, :], -torch.inf).softmax(dim=-1)
        values = (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
        attended = (weights @ motion[:, None].float() * self.recall[:, None]).sum(dim=1)
        return AttentionOutput(self.out(values), attended, weights.mean(dim=1))

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class TransformerLayer(nn.Module):
    """Local attention, attention to a reference if it has one, and two linear layers; each beside a skip."""

    def __init__(
        self, width: int, heads: int, reach: int, dropout: float, style: AudioAwareAttention | None = None
    ) -> None:
        super().__init__()
        self.local = LocalAttention(width, heads, reach)
        self.style = style
        self.forward_layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, reference: Reference | None = None) -> tuple[Tensor, AttentionOutput | None]:
        """x [b, t, w]; reference: for layers that attend to one.  -> x, and what that attention gave."""
        x = x + self.dropout(self.local(x))
        attention = None
        if self.style is not None and reference is not None:
            attention = self.style(x, *reference)
            x = x + self.dropout(attention.features)
        return x + self.dropout(self.forward_layers(x)), attention
