"""From noise to a sample.  Every sampler has one signature:

    sampler(predict, x, diffusion, noise) -> x0

predict    (x_t, step) -> Prediction, step an int of diffusion's schedule, the same for the whole batch
x          [b, c, h, w] what the last step starts from: Gaussian noise
diffusion  on the schedule to visit (`Diffusion.respaced`)
noise      (step) -> fresh Gaussian noise that broadcasts to x; only samplers with randomness call it
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .diffusion import Diffusion, Prediction

Predict = Callable[[Tensor, int], Prediction]
Noise = Callable[[int], Tensor]
SamplerName = Literal["ddim", "ddpm", "dpm++"]


@dataclass(frozen=True)
class SampleConfig:
    """How to sample: which sampler, which steps (see `Schedule.respaced`).  The defaults are Diff2Lip's."""

    sampler: SamplerName = "ddim"
    spacing: str = "ddim25"
    clip: bool = True


def ddpm(predict: Predict, x: Tensor, diffusion: Diffusion, noise: Noise) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, algorithm 2)."""
    for step in reversed(range(len(diffusion))):
        p = predict(x, step)
        x = diffusion.reverse_mean(p.x0, x, torch.full((len(x),), step, device=x.device))
        if step:
            x = x + torch.exp(0.5 * p.log_variance) * noise(step)
    return x


def ddim(predict: Predict, x: Tensor, diffusion: Diffusion, noise: Noise) -> Tensor:
    """Deterministic steps (Song et al. 2021, eq. 12 with sigma = 0)."""
    for step in reversed(range(len(diffusion))):
        p = predict(x, step)
        a_before = float(diffusion.schedule.alpha_bar_before[step])
        x = a_before**0.5 * p.x0 + (1 - a_before) ** 0.5 * p.eps
    return x


def dpm_solver_pp(predict: Predict, x: Tensor, diffusion: Diffusion, noise: Noise) -> Tensor:
    """DPM-Solver++(2M) in data prediction (Lu et al. 2022, algorithm 2); the last step, to zero noise, is x0 itself.

    The slope between two predictions is followed no farther than half a step of the length it was measured over:
    evenly spaced timesteps end in a step several times as long as the one before, and there 2M as published overshoots
    (for a Gaussian of deviation 0.4 and 12 cosine steps its error is twice DDIM's, with this limit an eighth).
    """
    a = diffusion.schedule.alpha_bar
    log_snr = [0.5 * float(v) for v in torch.logit(torch.from_numpy(a))]  # lambda = log(alpha / sigma)
    before: Tensor | None = None
    for step in reversed(range(len(diffusion))):
        x0 = predict(x, step).x0
        if step == 0:
            return x0
        h = log_snr[step - 1] - log_snr[step]
        data = x0
        if before is not None:
            ratio = max(1.0, (log_snr[step] - log_snr[step + 1]) / h)   # r = h_before / h
            data = x0 + (x0 - before) / (2 * ratio)
        sigma, sigma_next = (1 - a[step]) ** 0.5, (1 - a[step - 1]) ** 0.5
        alpha_next = a[step - 1] ** 0.5
        x = float(sigma_next / sigma) * x - float(alpha_next) * float(torch.expm1(torch.tensor(-h))) * data
        before = x0
    raise ValueError("a schedule has at least one step")


SAMPLERS = {"ddim": ddim, "ddpm": ddpm, "dpm++": dpm_solver_pp}


def sample(
    denoise: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    diffusion: Diffusion,
    config: SampleConfig,
    noise: Noise,
) -> Tensor:
    """The sample that `denoise` (x_t, original t [b]) -> network output leads x to.  [b, c, h, w] -> the same."""
    spaced = diffusion.respaced(config.spacing)

    def predict(x_t: Tensor, step: int) -> Prediction:
        steps = torch.full((len(x_t),), step, device=x_t.device)
        return spaced.interpret(denoise(x_t, spaced.timesteps(steps)), x_t, steps, clip=config.clip)

    return SAMPLERS[config.sampler](predict, x, spaced, noise)
