"""What a network says means the same whichever way it says it, and the terms are what the papers define."""

import math

import pytest
import torch
from torch import Generator, Tensor

from guided_diffusion.diffusion import Diffusion, DiffusionConfig
from tests.helpers.failing import fails

KINDS = ["eps", "x0", "v"]
SCHEDULES = ["linear", "cosine"]


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def process(predict: str = "eps", schedule: str = "linear", *, learn_variance: bool = False) -> Diffusion:
    return Diffusion(DiffusionConfig(predict=predict, schedule=schedule, learn_variance=learn_variance))  # type: ignore[arg-type]


@pytest.fixture
def x0() -> Tensor:
    return random(6, 3, 4, 4, seed=0).clamp(-1, 1)


@pytest.fixture
def noise() -> Tensor:
    return random(6, 3, 4, 4, seed=1)


STEP = torch.tensor([0, 1, 10, 300, 700, 950])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("predict", KINDS)
def test_the_right_answer_means_the_right_picture_and_noise(
    x0: Tensor, noise: Tensor, predict: str, schedule: str
) -> None:
    diffusion = process(predict, schedule)
    x_t = diffusion.q_sample(x0, STEP, noise)
    prediction = diffusion.interpret(diffusion.target(x0, STEP, noise), x_t, STEP, clip=False)
    assert (prediction.x0 - x0).abs().max() < 1e-4
    # What is left of the picture tells of the noise in proportion to it; step 0 of `cosine` holds 0.6 % noise.
    assert (prediction.eps - noise)[2:].abs().max() < 1e-4
    assert (prediction.eps - noise).abs().max() < 5e-3


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("predict", KINDS)
def test_prediction_and_picture_belong_together(predict: str, clip: bool) -> None:
    """Whatever the network says, x0 and eps make x_t again; with clip x0 is a picture."""
    diffusion, x_t, output = process(predict), random(6, 3, 4, 4, seed=2), random(6, 3, 4, 4, seed=3)
    prediction = diffusion.interpret(output, x_t, STEP, clip=clip)
    assert ((diffusion.q_sample(prediction.x0, STEP, prediction.eps) - x_t).abs() < 1e-3).all()
    if clip:
        assert prediction.x0.abs().max() <= 1


def test_noising_keeps_the_variance(noise: Tensor) -> None:
    diffusion, data = process(), random(6, 3, 64, 64, seed=4)
    noised = diffusion.q_sample(data, STEP, random(6, 3, 64, 64, seed=5))
    assert (noised.var(dim=(1, 2, 3)) - 1).abs().max() < 0.05


def test_the_network_is_told_original_timesteps() -> None:
    spaced = process().respaced("ddim25")
    assert spaced.timesteps(torch.tensor([0, 1, 24])).tolist() == [0, 40, 960]


def test_the_last_reverse_step_is_the_picture_itself(x0: Tensor, noise: Tensor) -> None:
    for spacing in ("1000", "ddim25", "2"):
        spaced = process().respaced(spacing)
        assert torch.allclose(spaced.reverse_mean(x0, noise, torch.zeros(6, dtype=torch.long)), x0, atol=1e-6)


def test_the_reverse_mean_lies_on_the_way_from_x_t_to_x0() -> None:
    """In expectation: E[mean(x0, x_t)] over x_t is the noised picture of the step before (DDPM eq. 7)."""
    diffusion, step = process(), torch.tensor([500])
    x0 = torch.full((1, 1, 1, 1), 0.7)
    expected = float(diffusion.schedule.alpha_bar[500]) ** 0.5 * x0
    before = float(diffusion.schedule.alpha_bar[499]) ** 0.5 * 0.7
    assert float(diffusion.reverse_mean(x0, expected, step)) == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize(("said", "of"), [(-1.0, 0), (1.0, 1), (0.0, 0.5)])
def test_learned_variance_lies_between_the_two_bounds(said: float, of: float) -> None:
    diffusion = process(learn_variance=True)
    x = random(6, 3, 4, 4, seed=6)
    output = torch.cat([x, torch.full_like(x, said)], dim=1)
    mean, variance = diffusion.split(output)
    assert variance is not None and mean.shape == variance.shape == x.shape
    betas, a, before = diffusion.schedule.betas, diffusion.schedule.alpha_bar, diffusion.schedule.alpha_bar_before
    log_variance = diffusion.interpret(output, x, STEP, clip=False).log_variance
    for i, step in enumerate(STEP.tolist()):
        low = max(step, 1)  # at step 0 the bound is 0 and its log infinite: step 1's stands in (iDDPM)
        bounds = math.log(betas[low] * (1 - before[low]) / (1 - a[low])), math.log(betas[step])
        assert log_variance[i].unique().item() == pytest.approx((1 - of) * bounds[0] + of * bounds[1], rel=1e-5)


def test_without_learned_variance_the_output_is_all_mean() -> None:
    output = random(1, 3, 4, 4, seed=7)
    mean, variance = process().split(output)
    assert variance is None and torch.equal(mean, output)


def test_the_variational_term_is_zero_for_a_perfect_prediction(x0: Tensor, noise: Tensor) -> None:
    diffusion = process(learn_variance=True)
    x_t = diffusion.q_sample(x0, STEP, noise)
    perfect = diffusion.interpret(torch.cat([noise, torch.full_like(noise, -1)], 1), x_t, STEP, clip=False)
    wrong = diffusion.interpret(torch.cat([-noise, torch.full_like(noise, -1)], 1), x_t, STEP, clip=False)
    bits = diffusion.variational_term(x0, x_t, perfect, STEP)
    assert bits.shape == (6,)
    assert bits[1:].abs().max() < 1e-4
    assert (diffusion.variational_term(x0, x_t, wrong, STEP) > bits).all()


def test_the_variational_term_counts_only_what_the_mask_shows(x0: Tensor, noise: Tensor) -> None:
    diffusion = process(learn_variance=True)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 2:, :] = 1
    x_t = diffusion.q_sample(x0, STEP, noise)
    output = random(6, 6, 4, 4, seed=8)
    other = output + 3 * (1 - mask)
    terms = [
        diffusion.variational_term(x0, x_t, diffusion.interpret(o, x_t, STEP, clip=False), STEP, mask)
        for o in (output, other)
    ]
    assert torch.equal(*terms)


def test_at_step_0_it_is_the_likelihood_of_a_pixel() -> None:
    """A confident right answer costs nearly nothing, a hedging one about log2 of the bins it spreads over."""
    diffusion, step = process(learn_variance=True), torch.tensor([0])
    x0 = torch.linspace(-1, 1, 256).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    x_t = diffusion.q_sample(x0, step, torch.zeros_like(x0))
    output = torch.cat([torch.zeros_like(x0), torch.full_like(x0, -1)], 1)
    bits = float(diffusion.variational_term(x0, x_t, diffusion.interpret(output, x_t, step, clip=False), step))
    spread = math.exp(0.5 * float(diffusion.interpret(output, x_t, step, clip=False).log_variance.unique()))
    assert bits == pytest.approx(math.log2(spread * 127.5 * math.sqrt(2 * math.pi)), abs=0.1)


@pytest.mark.parametrize("region", [0.1, 0.45, 1.0])
def test_noisy_timesteps_stay_in_their_region_and_lean_to_the_noise(region: float) -> None:
    diffusion = Diffusion(DiffusionConfig(high_noise_fraction=1.0, high_noise_range=region))
    steps = diffusion.draw_steps(20_000, Generator().manual_seed(0))
    assert steps.dtype == torch.int64 and steps.max() == 999
    assert 1000 * (1 - region) - 1 <= steps.min() < 1000 * (1 - region) + 20
    assert steps.double().mean() == pytest.approx(1000 * (1 - region * 0.4), abs=5)  # E[u^1.5] = 0.4


def test_a_share_of_the_timesteps_is_noisy() -> None:
    config = DiffusionConfig(high_noise_fraction=0.8, high_noise_range=0.25)
    steps = Diffusion(config).draw_steps(20_000, Generator().manual_seed(0))
    assert float((steps < 750).double().mean()) == pytest.approx(0.2 * 0.75, abs=0.01)


def test_uniform_timesteps_are_uniform_and_a_function_of_the_generator() -> None:
    diffusion = process()
    steps = diffusion.draw_steps(20_000, Generator().manual_seed(0))
    assert steps.min() == 0 and steps.max() == 999 and steps.double().mean() == pytest.approx(499.5, abs=8)
    assert torch.equal(steps, diffusion.draw_steps(20_000, Generator().manual_seed(0)))


def test_a_config_refuses_what_cannot_be() -> None:
    for wrong in ({"steps": 1}, {"high_noise_fraction": -0.1}, {"high_noise_range": 1.5}):
        with fails(ValueError, *wrong):
            DiffusionConfig(**wrong)  # type: ignore[arg-type]
