# mypy: ignore-errors
"""The kernels of fused_norm.py, in Triton's language: activations are read as rows of channels, in float32.

Grids are (items, chunks of positions, blocks of channels), or (items,) for those that know groups.
"""

from subprocess import SubprocessError

import triton
import triton.language as tl
from triton.errors import TritonError

PROBLEMS = (ImportError, OSError, RuntimeError, SubprocessError, TritonError)
"""What a missing compiler, linker or driver raises."""


@triton.jit
def moments(x, sums, positions, c, rows: tl.constexpr, block: tl.constexpr, chunk_size: tl.constexpr):
    """The sums of x and x^2 over a chunk of positions, channel by channel."""
    item, chunk, chunks = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    channel = tl.program_id(2) * block + tl.arange(0, block)
    here = channel < c
    first, second = tl.zeros([block], tl.float32), tl.zeros([block], tl.float32)
    for start in range(0, chunk_size, rows):
        row = chunk * chunk_size + start + tl.arange(0, rows)
        mask = (row < positions)[:, None] & here[None, :]
        value = tl.load(x + (item * positions + row)[:, None] * c + channel[None, :], mask, 0.0).to(tl.float32)
        first += tl.sum(value, 0)
        second += tl.sum(value * value, 0)
    place = sums + (item * chunks + chunk) * 2 * c + channel
    tl.store(place, first, here)
    tl.store(place + c, second, here)


@triton.jit
def linear(
    sums, whole, linear, scale, shift, pre_scale, pre_shift, positions, c, per, eps,
    chunks: tl.constexpr, groups: tl.constexpr, most: tl.constexpr,
):  # fmt: skip
    """From the sums of all chunks: the whole ones, mean and 1 / deviation of each channel's group, and E and F."""
    item = tl.program_id(0).to(tl.int64)
    number = tl.arange(0, most)[None, :]
    channel = tl.arange(0, groups)[:, None] * per + number
    here = (number < per) & (channel < c)
    first, second = tl.zeros([groups, most], tl.float32), tl.zeros([groups, most], tl.float32)
    for chunk in range(chunks):
        place = sums + (item * chunks + chunk) * 2 * c + channel
        first += tl.load(place, here, 0.0)
        second += tl.load(place + c, here, 0.0)
    own = item * c + channel
    i, j = tl.load(pre_scale + own, here, 0.0), tl.load(pre_shift + own, here, 0.0)
    a, b = tl.load(scale + own, here, 0.0), tl.load(shift + own, here, 0.0)
    count = positions * per * 1.0
    mean = tl.sum(i * first + positions * j, 1) / count
    square = tl.sum(i * i * second + 2 * i * j * first + positions * j * j, 1) / count
    rate = 1 / tl.sqrt(tl.maximum(square - mean * mean, 0.0) + eps)
    mean, rate = mean[:, None], rate[:, None]
    place = whole + item * 4 * c + channel
    tl.store(place, first, here)
    tl.store(place + c, second, here)
    tl.store(place + 2 * c, mean + tl.zeros([groups, most], tl.float32), here)
    tl.store(place + 3 * c, rate + tl.zeros([groups, most], tl.float32), here)
    place = linear + item * 2 * c + channel
    tl.store(place, i * rate * a, here)
    tl.store(place + c, (j - mean) * rate * a + b, here)


@triton.jit
def apply(x, y, linear, gate, positions, c, rows: tl.constexpr, block: tl.constexpr, chunk_size: tl.constexpr):
    """y = silu(x E + F) gate"""
    item, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel = tl.program_id(2) * block + tl.arange(0, block)
    here = channel < c
    e = tl.load(linear + item * 2 * c + channel, here, 0.0)[None, :]
    f = tl.load(linear + item * 2 * c + c + channel, here, 0.0)[None, :]
    m = tl.load(gate + item * c + channel, here, 0.0)[None, :]
    for start in range(0, chunk_size, rows):
        row = chunk * chunk_size + start + tl.arange(0, rows)
        mask = (row < positions)[:, None] & here[None, :]
        place = (item * positions + row)[:, None] * c + channel[None, :]
        z = tl.load(x + place, mask, 0.0).to(tl.float32) * e + f
        tl.store(y + place, z * tl.sigmoid(z) * m, mask)


@triton.jit
def sums(
    x, dy, sums, linear, gate, positions, c, rows: tl.constexpr, block: tl.constexpr, chunk_size: tl.constexpr
):
    """Over a chunk, channel by channel: the sums of dz, of dz x and of dy silu(z), z = x E + F."""
    item, chunk, chunks = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    channel = tl.program_id(2) * block + tl.arange(0, block)
    here = channel < c
    e = tl.load(linear + item * 2 * c + channel, here, 0.0)[None, :]
    f = tl.load(linear + item * 2 * c + c + channel, here, 0.0)[None, :]
    m = tl.load(gate + item * c + channel, here, 0.0)[None, :]
    plain, with_x, gated = (
        tl.zeros([block], tl.float32), tl.zeros([block], tl.float32), tl.zeros([block], tl.float32)
    )  # fmt: skip
    for start in range(0, chunk_size, rows):
        row = chunk * chunk_size + start + tl.arange(0, rows)
        mask = (row < positions)[:, None] & here[None, :]
        place = (item * positions + row)[:, None] * c + channel[None, :]
        value = tl.load(x + place, mask, 0.0).to(tl.float32)
        change = tl.load(dy + place, mask, 0.0).to(tl.float32)
        z = value * e + f
        s = tl.sigmoid(z)
        dz = change * m * s * (1 + z * (1 - s))
        plain += tl.sum(dz, 0)
        with_x += tl.sum(dz * value, 0)
        gated += tl.sum(change * z * s, 0)
    place = sums + (item * chunks + chunk) * 3 * c + channel
    tl.store(place, plain, here)
    tl.store(place + c, with_x, here)
    tl.store(place + 2 * c, gated, here)


@triton.jit
def linear_gradient(
    sums, whole, made, scale, pre_scale, pre_shift, positions, c, per, size,
    chunks: tl.constexpr, groups: tl.constexpr, most: tl.constexpr,
):  # fmt: skip
    """Through E, F and the moments: the gradients of the sums of x and x^2, and of every factor."""
    item = tl.program_id(0).to(tl.int64)
    number = tl.arange(0, most)[None, :]
    channel = tl.arange(0, groups)[:, None] * per + number
    here = (number < per) & (channel < c)
    df, de, dm = (
        tl.zeros([groups, most], tl.float32), tl.zeros([groups, most], tl.float32),
        tl.zeros([groups, most], tl.float32),
    )  # fmt: skip
    for chunk in range(chunks):
        place = sums + (item * chunks + chunk) * 3 * c + channel
        df += tl.load(place, here, 0.0)
        de += tl.load(place + c, here, 0.0)
        dm += tl.load(place + 2 * c, here, 0.0)
    own = item * c + channel
    i, j = tl.load(pre_scale + own, here, 0.0), tl.load(pre_shift + own, here, 0.0)
    a = tl.load(scale + own, here, 0.0)
    place = whole + item * 4 * c + channel
    first, second = tl.load(place, here, 0.0), tl.load(place + c, here, 0.0)
    mean, rate = tl.load(place + 2 * c, here, 0.0), tl.load(place + 3 * c, here, 0.0)
    count = positions * per * 1.0
    drate = tl.sum(a * (de * i + df * (j - mean)), 1)[:, None]
    dsquare = -0.5 * rate * rate * rate * drate / count             # of the sum of u^2 of a channel
    dsum = -tl.sum(df * rate * a, 1)[:, None] / count - 2 * mean * dsquare  # of the sum of u
    place = made + own
    tl.store(place, i * dsum + 2 * i * j * dsquare, here)
    tl.store(place + size, i * i * dsquare, here)
    tl.store(place + 2 * size, de * i * rate + df * (j - mean) * rate, here)
    tl.store(place + 3 * size, df, here)
    tl.store(place + 4 * size, dm, here)
    tl.store(place + 5 * size, de * rate * a + first * dsum + 2 * (i * second + j * first) * dsquare, here)
    tl.store(place + 6 * size, df * rate * a + positions * dsum + 2 * (i * first + positions * j) * dsquare, here)


@triton.jit
def gradient(
    x, dy, dx, linear, gate, made, positions, c, size, rows: tl.constexpr, block: tl.constexpr, chunk_size: tl.constexpr
):
    """dx = dz E + d(sum of x) + 2 x d(sum of x^2)"""
    item, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel = tl.program_id(2) * block + tl.arange(0, block)
    here = channel < c
    e = tl.load(linear + item * 2 * c + channel, here, 0.0)[None, :]
    f = tl.load(linear + item * 2 * c + c + channel, here, 0.0)[None, :]
    m = tl.load(gate + item * c + channel, here, 0.0)[None, :]
    first = tl.load(made + item * c + channel, here, 0.0)[None, :]
    second = tl.load(made + size + item * c + channel, here, 0.0)[None, :]
    for start in range(0, chunk_size, rows):
        row = chunk * chunk_size + start + tl.arange(0, rows)
        mask = (row < positions)[:, None] & here[None, :]
        place = (item * positions + row)[:, None] * c + channel[None, :]
        value = tl.load(x + place, mask, 0.0).to(tl.float32)
        z = value * e + f
        s = tl.sigmoid(z)
        dz = tl.load(dy + place, mask, 0.0).to(tl.float32) * m * s * (1 + z * (1 - s))
        tl.store(dx + place, dz * e + first + 2 * value * second, mask)
