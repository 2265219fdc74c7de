"""How much signal is left at each timestep, in float64, and which timesteps a sampler visits."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import BadValue

Floats = NDArray[np.float64]
ScheduleName = Literal["linear", "cosine"]


@dataclass(frozen=True)
class Schedule:
    """Steps 0 (clean) to n-1 (noise).

    alpha_bar  [n] share of signal power left at each step (cumulative product of 1 - beta)
    timesteps  [n] the original timestep that the network is told at each step
    """

    alpha_bar: Floats
    timesteps: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.alpha_bar.shape != self.timesteps.shape or self.alpha_bar.ndim != 1 or not len(self.alpha_bar):
            raise ValueError("a schedule needs one timestep for each alpha_bar")
        if not (np.diff(self.alpha_bar) < 0).all() or self.alpha_bar[0] > 1 or self.alpha_bar[-1] <= 0:
            raise ValueError("alpha_bar must fall strictly, from at most 1 to above 0")

    def __len__(self) -> int:
        return len(self.alpha_bar)

    @property
    def alpha_bar_before(self) -> Floats:
        """alpha_bar of the step before each step; 1 (clean) before the first."""
        return np.append(1.0, self.alpha_bar[:-1])

    @property
    def betas(self) -> Floats:
        return 1.0 - self.alpha_bar / self.alpha_bar_before

    def respaced(self, spacing: str) -> "Schedule":
        """The schedule of a sampler that visits fewer steps.

        `ddimN`: every k-th step from 0, the first k that gives N steps (Song et al. 2021).
        `N`: N steps evenly from the first to the last, both included (1: the last).
        `N,M,...`: so in equal sections.
        """
        steps = spaced_steps(len(self), spacing)
        return Schedule(self.alpha_bar[steps], self.timesteps[steps])


def named_schedule(name: ScheduleName, steps: int) -> Schedule:
    """`linear`: betas 1e-4..0.02 scaled to 1000 steps (Ho et al. 2020).  `cosine`: Nichol & Dhariwal 2021, eq. 17."""
    if name == "linear":
        scale = 1000 / steps
        betas: Floats = np.linspace(scale * 1e-4, scale * 0.02, steps, dtype=np.float64)
    else:

        def level(u: float) -> float:
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

        betas = np.array([min(1 - level((i + 1) / steps) / level(i / steps), 0.999) for i in range(steps)])
    return Schedule(np.cumprod(1.0 - betas, dtype=np.float64), np.arange(steps))


def spaced_steps(total: int, spacing: str) -> list[int]:
    """Which of `total` steps a spacing visits, ascending.  Raises BadInput on a spacing that cannot be."""
    try:
        if spacing.startswith("ddim"):
            count = int(spacing.removeprefix("ddim"))
            return list(next(r for k in range(1, total + 1) if len(r := range(0, total, k)) == count))
        sections = [int(part) for part in spacing.split(",")]
        size, extra = divmod(total, len(sections))
        steps, start = [], 0
        for i, count in enumerate(sections):
            length = size + (i < extra)
            if not 1 <= count <= length:
                raise ValueError
            stride = (length - 1) / (count - 1) if count > 1 else 1.0
            steps += [start + round(stride * j) for j in range(count)] if count > 1 else [start + length - 1]
            start += length
        return steps
    except (ValueError, StopIteration):
        raise BadValue(f"timestep spacing {spacing!r} does not fit {total} steps; write ddim25, 25 or 10,15") from None
