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
SamplerName = Literal["ddim", "ddpm", "dpm++2m", "dpm++2m-c", "dpm++"]


@dataclass(frozen=True)
class SampleConfig:
    """How to sample.  The defaults are Diff2Lip's.

    sampler, spacing  which one, and which steps (see `Schedule.respaced`)
    clip              whether predictions of x0 are clipped to [-1, 1]
    audio_strength    how strongly the mouth follows the sound: 1 as it was learned, 0 as in silence
    """

    sampler: SamplerName = "ddim"
    spacing: str = "ddim25"
    clip: bool = True
    audio_strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.audio_strength < math.inf:
            raise ValueError(f"an audio strength of {self.audio_strength:g}: give 0 or more")


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


def dpm_solver_2m(predict: Predict, x: Tensor, diffusion: Diffusion, noise: Noise) -> Tensor:
    """DPM-Solver++(2M) in data prediction, as published (Lu et al. 2022, algorithm 2); the last step, to zero noise,
    is x0.
    """
    scale = _Scale(diffusion)
    before = None
    for step in reversed(range(1, len(diffusion))):
        x0 = data = predict(x, step).x0
        if before is not None:
            data = x0 + (x0 - before) * scale.length(step) / (2 * scale.length(step + 1))
        before, x = x0, scale.stepped(x, step, data)
    return predict(x, 0).x0


def dpm_solver_2m_corrected(predict: Predict, x: Tensor, diffusion: Diffusion, noise: Noise) -> Tensor:
    """DPM-Solver++(2M), its slope limited, and each step corrected once its end is known.

    The slope between two predictions is followed no farther than half a step of the length it was measured over:
    evenly spaced timesteps end in a step several times as long as the one before, and there 2M as published overshoots
    (for a Gaussian of deviation 0.4 and 12 cosine steps its error is twice DDIM's, with this limit an eighth).
    The prediction at the end of a step serves twice: with it the step is made again, the prediction rising evenly from
    one end to the other (UniC-2 of Zhao et al. 2023), which costs no evaluation.  The last step, to zero noise, is x0.
    """
    scale = _Scale(diffusion)
    start, before = x, None  # of the step that led to x: where it began, and what was predicted there
    for step in reversed(range(1, len(diffusion))):
        x0 = data = predict(x, step).x0
        if before is not None:
            x = corrected(scale, start, step, before, x0)
            data = x0 + (x0 - before) / (2 * max(1.0, scale.length(step + 1) / scale.length(step)))
        start, before = x, x0
        x = scale.stepped(x, step, data)
    return predict(x, 0).x0


def corrected(scale: "_Scale", start: Tensor, step: int, before: Tensor, x0: Tensor) -> Tensor:
    """The step from `step` + 1 to `step` made again: what was predicted rises evenly from `before` to x0 (UniC-2)."""
    length = scale.length(step + 1)
    rise = 1 + math.expm1(-length) / length
    again: Tensor = scale.stepped(start, step + 1, before) + scale.alpha[step] * rise * (x0 - before)
    return again


class _Scale:
    """What the solvers measure by: x_t = alpha x0 + sigma eps, and the length of a step in log(alpha / sigma)."""

    def __init__(self, diffusion: Diffusion) -> None:
        self.alpha = [float(v) ** 0.5 for v in diffusion.schedule.alpha_bar]
        self.sigma = [float(1 - v) ** 0.5 for v in diffusion.schedule.alpha_bar]
        self._log_snr = [math.log(a / s) for a, s in zip(self.alpha, self.sigma, strict=True)]

    def length(self, step: int) -> float:
        """Of the step from `step` to the one before it."""
        return self._log_snr[step - 1] - self._log_snr[step]

    def stepped(self, x: Tensor, start: int, data: Tensor) -> Tensor:
        """From `start` one step on, the prediction being `data` all the way."""
        stop = start - 1
        moved: Tensor = (
            self.sigma[stop] / self.sigma[start] * x - self.alpha[stop] * math.expm1(-self.length(start)) * data
        )
        return moved


SAMPLERS = {
    "ddim": ddim, "ddpm": ddpm, "dpm++2m": dpm_solver_2m, "dpm++2m-c": dpm_solver_2m_corrected,
    "dpm++": dpm_solver_2m_corrected,
}  # fmt: skip
"""dpm++ is the older name of dpm++2m-c, in checkpoints and on command lines."""


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
