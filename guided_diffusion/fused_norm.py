"""Group norm, its affine, SiLU and the scales around them in one pass over channels-last activations, by Triton.

What a residual block does between two convolutions is memory traffic: on a GPU it takes most of a training step
(docs/speed.md).  Here it is three kernels forward and three backward, which read the activations twice and write them
once:

    u = x * pre_scale + pre_shift,    n = (u - mean of its group) / deviation of its group,
    y = silu(n * scale + shift) * gate,    every factor a number for each item and channel.

With E and F for all that is linear, y = silu(x E + F) gate, and the moments of u follow from the sums of x and x^2 of
each channel, so kernels over positions know no groups, and kernels over groups know no positions.
"""

import logging
import os
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import first_line

NOTES = logging.getLogger(__name__)
SWITCH = "FUSED_NORM"  # environment variable; 0: never
ROWS = 64              # positions that a program reads at a time
CHUNK = 1024           # positions of a program


@cache
def kernels() -> Any:
    """norm_kernels.py, or None where torch brings no Triton, such as on a Mac.  A second to import."""
    try:
        from . import norm_kernels
    except ImportError:
        return None
    return norm_kernels


def usable(x: Tensor) -> bool:
    """Whether activations [b, c, h, w] are such as the kernels take, channels last, and on a device that has them."""
    return (
        (x.is_cuda or _interpreted())
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and _works(x.device)
    )


def _interpreted() -> bool:
    """Whether Triton computes in Python, for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def _works(device: torch.device) -> bool:
    """Whether the kernels run there, which takes a compiler: tried once."""
    if os.environ.get(SWITCH) == "0" or kernels() is None:
        return False
    try:
        with torch.inference_mode(False), torch.enable_grad():  # whoever asks first may be generating
            x = torch.ones(1, 64, 2, 2, device=device).to(memory_format=torch.channels_last).requires_grad_()
            norm_silu(x, nn.GroupNorm(32, 64), *torch.ones(5, 1, 64, device=device)).sum().backward()
        return bool(x.grad is not None and x.grad.isfinite().all())
    except kernels().PROBLEMS as problem:
        NOTES.warning("Triton does not run here (%s); going on without it, slower", first_line(problem))
        return False


def norm_silu(
    x: Tensor,
    norm: nn.GroupNorm,
    scale: Tensor,
    shift: Tensor,
    gate: Tensor,
    pre_scale: Tensor,
    pre_shift: Tensor,
) -> Tensor:
    """x [b, c, h, w] channels last; all factors [b, c] float32 -> [b, c, h, w] channels last, of x's type.

    norm: whose groups and epsilon; its weight and bias are in scale and shift.
    """
    output: Tensor = _NormSilu.apply(x, norm.num_groups, norm.eps, scale, shift, gate, pre_scale, pre_shift)
    return output


class _NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, groups: int, eps: float, scale: Tensor, shift: Tensor, gate: Tensor, pre_scale: Tensor,
        pre_shift: Tensor,
    ) -> Tensor:  # fmt: skip
        factors = [factor.contiguous() for factor in (scale, shift, gate, pre_scale, pre_shift)]
        scale, shift, gate, pre_scale, pre_shift = factors
        x = x.contiguous(memory_format=torch.channels_last)
        b, c, h, w = x.shape
        positions, per = h * w, c // groups
        grid, block = _grid(x), _block(c)
        sums = torch.empty(b, grid[1], 2, c, device=x.device)
        kernels().moments[grid](x, sums, positions, c, ROWS, block, CHUNK)
        whole, linear = torch.empty(b, 4, c, device=x.device), torch.empty(b, 2, c, device=x.device)
        kernels().linear[(b,)](
            sums, whole, linear, scale, shift, pre_scale, pre_shift, positions, c, per, eps, grid[1], groups,
            _power(per),
        )  # fmt: skip
        y = torch.empty_like(x)
        kernels().apply[grid](x, y, linear, gate, positions, c, ROWS, block, CHUNK)
        ctx.save_for_backward(x, whole, linear, *factors)
        ctx.groups = groups
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, whole, linear, scale, _, gate, pre_scale, pre_shift = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        b, c, h, w = x.shape
        positions, per = h * w, c // ctx.groups
        grid, block = _grid(x), _block(c)
        sums = torch.empty(b, grid[1], 3, c, device=x.device)
        kernels().sums[grid](x, dy, sums, linear, gate, positions, c, ROWS, block, CHUNK)
        totals = torch.empty(7, b, c, device=x.device)  # of the sums of x and x^2, and of each factor
        kernels().linear_gradient[(b,)](
            sums, whole, totals, scale, pre_scale, pre_shift, positions, c, per, b * c, grid[1], ctx.groups, _power(per)
        )
        dx = torch.empty_like(x)
        kernels().gradient[grid](x, dy, dx, linear, gate, totals, positions, c, b * c, ROWS, block, CHUNK)
        return dx, None, None, totals[2], totals[3], totals[4], totals[5], totals[6]


def _grid(x: Tensor) -> tuple[int, int, int]:
    """Items, chunks of positions, blocks of channels."""
    b, c, h, w = x.shape
    return b, -(-h * w // CHUNK), -(-c // _block(c))


def _block(channels: int) -> int:
    return 64 if channels % 64 == 0 else 32


def _power(count: int) -> int:
    return max(16, 1 << (count - 1).bit_length())
