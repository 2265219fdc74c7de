"""Few steps for many: a student that follows, from noise, where its teacher's steps end.

After Salimans & Ho 2022 (progressive distillation), but in one round and on the student's own way: a conditional sample
leaves little to chance here, so that one step can be asked for at once, and what the student sees at its second step is
what its first one made, as in generation.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .diffusion import Diffusion
from .samplers import SampleConfig, sample

Denoise = Callable[[Tensor, Tensor], Tensor]
"""x_t, original t [b] -> network output"""


def check(diffusion: Diffusion, steps: str) -> None:
    """BadInput for steps that do not fit the process; ValueError if one step from pure noise cannot be learned."""
    if diffusion.config.predict == "eps":
        raise ValueError("at pure noise a predicted eps says nothing of the picture; distil what predicts x0 or v")
    diffusion.respaced(steps)


def own_steps(denoise: Denoise, noise: Tensor, diffusion: Diffusion, steps: str, *, clip: bool) -> list[Tensor]:
    """What a student predicts, x0 at each of its steps of DDIM from pure noise on; the last is the sample.

    [b, c, h, w] -> so many of the same.  A gradient is that of one step: none passes from a step to those before.
    """
    spaced, x, states = diffusion.respaced(steps), noise, []
    for step in reversed(range(len(spaced))):
        at = torch.full((len(x),), step, device=x.device)
        predicted = spaced.interpret(denoise(x, spaced.timesteps(at)), x, at, clip=False)
        states.append(predicted.x0)
        x0 = predicted.x0.detach()
        if clip:
            x0 = x0.clamp(-1, 1)
        if step:
            signal, before = spaced.signal(at, x), spaced.signal(at - 1, x)
            eps = (x - signal.sqrt() * x0) / (1 - signal).sqrt()
            x = before.sqrt() * x0 + (1 - before).sqrt() * eps
    return states


@torch.no_grad()
def teachers_sample(denoise: Denoise, noise: Tensor, diffusion: Diffusion, config: SampleConfig) -> Tensor:
    """Where a teacher's steps lead the same noise.  ValueError for a sampler that draws more noise."""
    if config.sampler == "ddpm":
        raise ValueError("ddpm leads the same noise to another picture each time; let the teacher use ddim or dpm++")
    return sample(denoise, noise, diffusion, config, lambda step: noise)
