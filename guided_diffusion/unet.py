"""The UNet of guided-diffusion (Dhariwal & Nichol 2021) with four doors for conditions.

A condition enters by channels (concatenated to x), by style (a vector added to the time embedding), by context (tokens
that the attention sees beside the pixels) or by modulation (a vector that scales the weights of convolutions).
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .blocks import (
    AttentionBlock,
    EmbedSequential,
    Resample,
    ResBlock,
    normalization,
    timestep_embedding,
    zeroed,
)

KINDS = 128  # of blocks by their shapes, with and without gradients, that may be compiled


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a UNet.  The defaults are Diff2Lip's released network."""

    image_size: int = 128
    in_channels: int = 9
    out_channels: int = 6
    channels: int = 128
    channel_mult: tuple[int, ...] = (1, 1, 2, 3, 4)
    res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (32, 16, 8)
    head_channels: int = 64
    dropout: float = 0.0
    scale_shift_norm: bool = False
    context_channels: int = 0
    modulation: int = 0  # width of the vector that modulates the first convolution of every residual block; 0: none
    residual_resampling: bool = True  # a residual block at each change of resolution; else pooling and repetition alone
    patch: int = 1  # the network sees patch x patch pixels as one position (space-to-depth): patch**2 times cheaper

    def __post_init__(self) -> None:
        smallest = self.image_size // self.patch // 2 ** (len(self.channel_mult) - 1)
        if smallest < 1 or self.image_size % (self.patch * 2 ** (len(self.channel_mult) - 1)):
            raise ValueError(
                f"image_size {self.image_size} does not halve {len(self.channel_mult) - 1} times"
                f" in patches of {self.patch}; use a multiple of {self.patch * 2 ** (len(self.channel_mult) - 1)}"
            )
        if any(self.channels * m % 32 for m in self.channel_mult):
            raise ValueError(f"channels {self.channels} x {self.channel_mult} must be multiples of 32 (GroupNorm)")
        attended = {self.channels * m for level, m in enumerate(self.channel_mult) if self.attends(level)}
        for width in sorted(attended | {self.channels * self.channel_mult[-1]}):
            if width % self.head_channels:
                raise ValueError(f"attention over {width} channels does not divide into heads of {self.head_channels}")

    @property
    def embedding(self) -> int:
        """Width of the time embedding, and so of a style vector."""
        return self.channels * 4

    def attends(self, level: int) -> bool:
        """Whether the blocks of a level look at each other's positions."""
        return self.image_size // self.patch // 2**level in self.attention_resolutions


class UNet(nn.Module):
    """x [b, in, s, s], t [b] -> [b, out, s, s].

    With `gradient_checkpointing` set, what a block computes inside is computed again for its gradient instead of kept.
    It is no part of the config: results and checkpoints do not depend on it.
    """

    gradient_checkpointing = False

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        embedding, patch = config.embedding, config.patch
        self.time_embed = nn.Sequential(
            nn.Linear(config.channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        width = config.channels * config.channel_mult[0]
        stem = nn.Conv2d(config.in_channels * patch**2, width, 3, padding=1)
        self.input_blocks = nn.ModuleList([EmbedSequential(stem)])
        self.output_blocks = nn.ModuleList()
        skips = [width]

        levels = len(config.channel_mult)
        for level, mult in enumerate(config.channel_mult):
            for _ in range(config.res_blocks):
                block = self._block(width, config.channels * mult, level)
                width = config.channels * mult
                self.input_blocks.append(block)
                skips.append(width)
            if level < levels - 1:
                self.input_blocks.append(EmbedSequential(self._resampling(width, up=False)))
                skips.append(width)

        self.middle_block = EmbedSequential(self._res(width, width), self._attention(width), self._res(width, width))

        for level, mult in reversed(list(enumerate(config.channel_mult))):
            for i in range(config.res_blocks + 1):
                block = self._block(width + skips.pop(), config.channels * mult, level)
                width = config.channels * mult
                if level and i == config.res_blocks:
                    block.append(self._resampling(width, up=True))
                self.output_blocks.append(block)

        head = zeroed(nn.Conv2d(width, config.out_channels * patch**2, 3, padding=1))
        self.out = nn.Sequential(normalization(width), nn.SiLU(), head)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Has each kind of block compiled when it is first used, as `torch.compile` with these arguments does.

        Blocks of one kind share what was compiled; what torch cannot compile runs as it is, and torch says so.
        """
        from torch._dynamo import config

        config.recompile_limit = max(config.recompile_limit, KINDS)
        config.suppress_errors = True
        for part in self.modules():
            if isinstance(part, (ResBlock, AttentionBlock)):
                part.compile(*args, dynamic=False, **kwargs)

    def _res(self, width: int, out: int, resample: Resample | None = None) -> ResBlock:
        c = self.config
        return ResBlock(
            width, out, c.embedding, dropout=c.dropout, scale_shift_norm=c.scale_shift_norm, resample=resample,
            modulation=c.modulation,
        )  # fmt: skip

    def _resampling(self, width: int, *, up: bool) -> nn.Module:
        """Half or twice the resolution."""
        resample = Resample((2, 2), up=up)
        return self._res(width, width, resample) if self.config.residual_resampling else resample

    def _attention(self, width: int) -> AttentionBlock:
        return AttentionBlock(width, self.config.head_channels, self.config.context_channels)

    def _block(self, width: int, out: int, level: int) -> EmbedSequential:
        """A residual block, and attention where the level's resolution asks for it."""
        block = EmbedSequential(self._res(width, out))
        if self.config.attends(level):
            block.append(self._attention(out))
        return block

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        *,
        style: Tensor | None = None,
        context: Tensor | None = None,
        modulation: Tensor | None = None,
    ) -> Tensor:
        """x [b, in, s, s]; t [b] original timesteps; style [b, embedding]; context [b, n, context_channels];
        modulation [b, config.modulation].

        Raises ValueError if x does not have the channels that the config says, or the modulation is missing.
        """
        if x.shape[1] != self.config.in_channels:
            raise ValueError(f"the network takes {self.config.in_channels} channels, not {x.shape[1]}")
        if (modulation is None) != (self.config.modulation == 0):
            raise ValueError(f"the network is modulated by vectors of {self.config.modulation} numbers")
        dtype = next(self.time_embed.parameters()).dtype
        embedding = self.time_embed(timestep_embedding(t, self.config.channels).to(dtype))
        if style is not None:
            embedding = embedding + style
        h = F.pixel_unshuffle(x, self.config.patch)                     # [b, in p^2, s/p, s/p]
        skips: list[Tensor] = []
        for block in self.input_blocks:                                 # down
            h = self._through(block, embedding, context, modulation, h)
            skips.append(h)
        h = self._through(self.middle_block, embedding, context, modulation, h)
        for block in self.output_blocks:                                # up, each with its skip
            h = self._through(block, embedding, context, modulation, h, skips.pop())
        return F.pixel_shuffle(self.out(h), self.config.patch)          # [b, out, s, s]

    def _through(
        self, block: nn.Module, embedding: Tensor, context: Tensor | None, modulation: Tensor | None, *inputs: Tensor
    ) -> Tensor:
        """A block's output for its inputs, which are joined on channels."""

        def run(embedding: Tensor, context: Tensor | None, modulation: Tensor | None, *inputs: Tensor) -> Tensor:
            x = torch.cat(inputs, dim=1) if len(inputs) > 1 else inputs[0]
            output: Tensor = block(x, embedding, context, modulation)
            return output

        conditions = embedding, context, modulation
        if not (self.gradient_checkpointing and torch.is_grad_enabled()):
            return run(*conditions, *inputs)
        return checkpoint(
            run, *conditions, *inputs, use_reentrant=False, preserve_rng_state=self.config.dropout > 0
        )
