"""A student's steps are those of generation, each with a gradient of its own; a teacher leads noise to one picture."""

import pytest
import torch
from torch import Tensor

from core.errors import BadInput
from guided_diffusion.diffusion import Diffusion, DiffusionConfig
from guided_diffusion.distillation import check, own_steps, teachers_sample
from guided_diffusion.samplers import SampleConfig, sample


def process(predict: str = "x0") -> Diffusion:
    return Diffusion(DiffusionConfig(schedule="cosine", steps=100, predict=predict, learn_variance=False))  # type: ignore[arg-type]


def noise(count: int = 3) -> Tensor:
    return torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("predict", ["x0", "v"])
@pytest.mark.parametrize("steps", ["1", "2", "4"])
@pytest.mark.parametrize("clip", [True, False])
def test_the_last_step_is_the_sample_of_generation(predict: str, steps: str, clip: bool) -> None:
    diffusion = process(predict)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        return 1.7 * torch.tanh(x + 0.01 * t.view(-1, 1, 1, 1))

    found = own_steps(denoise, noise(), diffusion, steps, clip=clip)
    made = sample(denoise, noise(), diffusion, SampleConfig("ddim", steps, clip), lambda step: noise())
    assert len(found) == int(steps)
    assert torch.allclose(found[-1].clamp(-1, 1) if clip else found[-1], made, atol=1e-5)
    assert torch.allclose(teachers_sample(denoise, noise(), diffusion, SampleConfig("ddim", steps, clip)), made)


def test_no_gradient_passes_from_a_step_to_those_before() -> None:
    weights = [torch.tensor(0.3, requires_grad=True), torch.tensor(0.5, requires_grad=True)]
    turn = iter(weights)
    first, last = own_steps(lambda x, t: next(turn) * x, noise(), process(), "2", clip=True)
    last.sum().backward()
    assert weights[0].grad is None and weights[1].grad is not None
    assert first.requires_grad


def test_what_cannot_be_distilled_is_refused() -> None:
    with pytest.raises(ValueError, match="eps"):
        check(process("eps"), "1")
    with pytest.raises(BadInput, match="101"):
        check(process(), "101")
    with pytest.raises(ValueError, match="ddpm"):
        teachers_sample(lambda x, t: x, noise(), process(), SampleConfig("ddpm", "2"))
