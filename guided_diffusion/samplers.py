"""From noise to a sample.  Every sampler has one signature:

    sampler(predict, x, diffusion, noise) -> x0

predict    (x_t, step) -> Prediction, step an int of diffusion's schedule, the same for the whole batch
x          [b, c, h, w] what the last step starts from: Gaussian noise
diffusion  on the schedule to visit (`Diffusion.respaced`)
noise      (step) -> fresh Gaussian noise that broadcasts to x; only samplers with randomness call it
"""

import math
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
    """DPM-Solver++(2M) in data prediction (Lu et al. 2022, algorithm 2), each step corrected once its end is known.

    The slope between two predictions is followed no farther than half a step of the length it was measured over:
    evenly spaced timesteps end in a step several times as long as the one before, and there 2M as published overshoots
    (for a Gaussian of deviation 0.4 and 12 cosine steps its error is twice DDIM's, with this limit an eighth).
    The prediction at the end of a step serves twice: with it the step is made again, the prediction rising evenly from
    one end to the other (UniC-2 of Zhao et al. 2023), which costs no evaluation.  The last step, to zero noise, is x0.
    """
    alpha = [float(v) ** 0.5 for v in diffusion.schedule.alpha_bar]
    sigma = [float(1 - v) ** 0.5 for v in diffusion.schedule.alpha_bar]
    log_snr = [math.log(a / s) for a, s in zip(alpha, sigma, strict=True)]  # lambda

    def stepped(x: Tensor, start: int, data: Tensor) -> Tensor:
        """From `start` one step on, the prediction being `data` all the way."""
        stop = start - 1
        h = log_snr[stop] - log_snr[start]
        moved: Tensor = sigma[stop] / sigma[start] * x - alpha[stop] * math.expm1(-h) * data
        return moved

    start, before = x, None  # of the step that led to x: where it began, and what was predicted there
    for step in reversed(range(len(diffusion))):
        x0 = predict(x, step).x0
        if step == 0:
            return x0
        data = x0
        if before is not None:
            h_before, h = log_snr[step] - log_snr[step + 1], log_snr[step - 1] - log_snr[step]
            rise = 1 + math.expm1(-h_before) / h_before
            x = stepped(start, step + 1, before) + alpha[step] * rise * (x0 - before)
            data = x0 + (x0 - before) / (2 * max(1.0, h_before / h))
        start, before = x, x0
        x = stepped(x, step, data)
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
