"""Gaussian diffusion: noising, what a network's output means, the reverse step, the variational term.

Knows nothing of faces or sound.  A `step` is an index into the schedule at hand (0 = least noise); the network
is told the original timestep.  Tensors are [b, c, h, w]; formulas follow Ho et al. 2020 (DDPM) and
Nichol & Dhariwal 2021 (iDDPM).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from numpy import float64, int64
from numpy.typing import NDArray
from torch import Generator, Tensor

from .schedule import Floats, Schedule, ScheduleName, named_schedule


@dataclass(frozen=True)
class DiffusionConfig:
    """The defaults are Diff2Lip's.

    high_noise_fraction, high_noise_range: the share of training items whose t is not drawn evenly, but as
    1 - high_noise_range * u^1.5 of the way to pure noise: there the shape of the mouth is decided.  0 is the paper's.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"noisy": "high_noise_fraction", "noisy_region": "high_noise_range"}

    schedule: ScheduleName = "linear"
    steps: int = 1000
    predict: Literal["eps", "x0", "v"] = "eps"
    learn_variance: bool = True
    high_noise_fraction: float = 0.0
    high_noise_range: float = 0.45

    def __post_init__(self) -> None:
        if not 2 <= self.steps <= 100_000:
            raise ValueError(f"a diffusion has from 2 to 100,000 steps, not {self.steps}")
        if not (0 <= self.high_noise_fraction <= 1 and 0 < self.high_noise_range <= 1):
            raise ValueError("high_noise_fraction lies in [0, 1], high_noise_range in (0, 1]")


@dataclass(frozen=True)
class Prediction:
    """What the network says x_t is made of, and the log variance of the reverse step.  All [b, c, h, w] float32."""

    x0: Tensor
    eps: Tensor
    log_variance: Tensor


class Diffusion:
    """The process on one schedule; `respaced` gives the same process as a sampler with fewer steps sees it."""

    def __init__(self, config: DiffusionConfig, schedule: Schedule | None = None) -> None:
        self.config = config
        self.schedule = schedule if schedule is not None else named_schedule(config.schedule, config.steps)
        a, a_before, betas = self.schedule.alpha_bar, self.schedule.alpha_bar_before, self.schedule.betas
        variance = betas * (1 - a_before) / (1 - a)                     # of q(x_{t-1} | x_t, x_0)
        self._log_variance_low = _log(variance[[min(1, len(a) - 1), *range(1, len(a))]])  # 0 at the first step
        self._log_variance_high = _log(betas)
        self._mean_x0 = betas * a_before**0.5 / (1 - a)
        self._mean_xt = (1 - a_before) * (1 - betas) ** 0.5 / (1 - a)
        self._tables: dict[tuple[int, torch.device], Tensor] = {}       # of the schedule, on each device in use

    def __len__(self) -> int:
        return len(self.schedule)

    def respaced(self, spacing: str) -> "Diffusion":
        return Diffusion(self.config, self.schedule.respaced(spacing))

    def timesteps(self, step: Tensor) -> Tensor:
        """The original timesteps of steps, as the network is told them.  int64 [b] -> int64 [b]."""
        return self._table(self.schedule.timesteps, torch.int64, step.device)[step]

    def draw_steps(self, count: int, generator: Generator) -> Tensor:
        """Random training steps, int64 [count] on the generator's device, as the config says."""
        u = torch.rand(count, generator=generator, device=generator.device)
        noisy = torch.rand(count, generator=generator, device=generator.device) < self.config.high_noise_fraction
        u = torch.where(noisy, 1 - self.config.high_noise_range * u**1.5, u)
        return (u * len(self)).long().clamp_(max=len(self) - 1)

    def q_sample(self, x0: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """x_t given x_0 (DDPM eq. 4)."""
        a = self.signal(step, x0)
        return a.sqrt() * x0 + (1 - a).sqrt() * noise

    def signal(self, step: Tensor, like: Tensor) -> Tensor:
        """alpha_bar of each item, float32 [b, 1, 1, 1]."""
        return self._at(self.schedule.alpha_bar, step, like)

    def target(self, x0: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """What the network should say: eps, x0 or v = sqrt(a) eps - sqrt(1-a) x0 (Salimans & Ho 2022)."""
        if self.config.predict == "eps":
            return noise
        if self.config.predict == "x0":
            return x0
        a = self.signal(step, x0)
        return a.sqrt() * noise - (1 - a).sqrt() * x0

    def split(self, output: Tensor) -> tuple[Tensor, Tensor | None]:
        """The network's output as (mean part, variance part or None), float32."""
        if self.config.learn_variance:
            mean, variance = output.float().chunk(2, dim=1)
            return mean, variance
        return output.float(), None

    def interpret(self, output: Tensor, x_t: Tensor, step: Tensor, *, clip: bool) -> Prediction:
        """The network's output as a Prediction; `clip` holds x0 in [-1, 1] and makes eps agree with it.

        Without learned variance the reverse step gets the upper bound, log beta.
        """
        mean, variance = self.split(output)
        a = self.signal(step, x_t)
        if self.config.predict == "eps":
            x0 = (1 / a).sqrt() * x_t - (1 / a - 1).sqrt() * mean
        elif self.config.predict == "x0":
            x0 = mean
        else:
            x0 = a.sqrt() * x_t - (1 - a).sqrt() * mean
        if clip:
            x0 = x0.clamp(-1, 1)
        eps = mean if self.config.predict == "eps" and not clip else ((1 / a).sqrt() * x_t - x0) / (1 / a - 1).sqrt()
        high = self._at(self._log_variance_high, step, x_t)
        if variance is None:
            return Prediction(x0, eps, high.expand_as(x0))
        low = self._at(self._log_variance_low, step, x_t)
        share = (variance + 1) / 2                                      # iDDPM eq. 15
        return Prediction(x0, eps, share * high + (1 - share) * low)

    def reverse_mean(self, x0: Tensor, x_t: Tensor, step: Tensor) -> Tensor:
        """The mean of q(x_{t-1} | x_t, x_0) (DDPM eq. 7)."""
        return self._at(self._mean_x0, step, x_t) * x0 + self._at(self._mean_xt, step, x_t) * x_t

    def variational_term(
        self, x0: Tensor, x_t: Tensor, prediction: Prediction, step: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """KL to the true reverse step, at step 0 the negative log likelihood of 8-bit pixels, in bits per dimension.

        mask [.., h, w]: what counts; the rest is zero and the mean still runs over all of it, as in Diff2Lip. -> [b]
        """
        true_mean, mean = self.reverse_mean(x0, x_t, step), self.reverse_mean(prediction.x0, x_t, step)
        true_log_variance = self._at(self._log_variance_low, step, x_t)
        kl = _gaussian_kl(true_mean, true_log_variance, mean, prediction.log_variance)
        nll = _discretized_nll(x0, mean, 0.5 * prediction.log_variance)
        term = torch.where((step == 0).view(-1, 1, 1, 1), nll, kl)
        if mask is not None:
            term = term * mask
        return term.mean(dim=(1, 2, 3)) / math.log(2)

    def _at(self, values: Floats, step: Tensor, like: Tensor) -> Tensor:
        """values[step] as float32 [b, 1, 1, 1]."""
        return self._table(values, torch.float32, like.device)[step].view(-1, 1, 1, 1)

    def _table(
        self, values: NDArray[float64] | NDArray[int64], dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """An array of this schedule on a device, copied there once."""
        key = id(values), device
        if key not in self._tables:
            self._tables[key] = torch.from_numpy(values).to(dtype).to(device)
        return self._tables[key]


def _log(values: Floats) -> Floats:
    import numpy as np

    return np.log(np.maximum(values, 1e-20))


def _gaussian_kl(mean1: Tensor, log_variance1: Tensor, mean2: Tensor, log_variance2: Tensor) -> Tensor:
    """KL(N1 || N2) in nats, element by element."""
    ratio = torch.exp(log_variance1 - log_variance2)
    distance = (mean1 - mean2) ** 2 * torch.exp(-log_variance2)
    return 0.5 * (-1.0 + log_variance2 - log_variance1 + ratio + distance)


def _discretized_nll(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """-log of a Gaussian's mass in the 1/255 bin around x in [-1, 1]; the end bins are open (DDPM eq. 13), in nats."""
    inverse = torch.exp(-log_scale)
    upper = torch.special.ndtr(inverse * (x - mean + 1 / 255))
    lower = torch.special.ndtr(inverse * (x - mean - 1 / 255))
    mass = torch.where(x < -0.999, upper, torch.where(x > 0.999, 1 - lower, upper - lower))
    return -mass.clamp_min(1e-12).log()
