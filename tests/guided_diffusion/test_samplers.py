"""Every sampler ends at the picture that a perfect model sees, and differs where it should."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from guided_diffusion import samplers
from guided_diffusion.diffusion import Diffusion, DiffusionConfig
from guided_diffusion.samplers import SAMPLERS, SampleConfig, sample

CONFIG = DiffusionConfig(learn_variance=False)
PROCESS = Diffusion(CONFIG)


def start(items: int = 2) -> Tensor:
    return torch.randn(items, 3, 8, 8, generator=Generator().manual_seed(0))


def fresh_noise(step: int) -> Tensor:
    return torch.randn(1, 3, 8, 8, generator=Generator().manual_seed(step))


def no_noise(step: int) -> Tensor:
    raise AssertionError("this sampler is deterministic")


def alpha_bar(t: Tensor) -> Tensor:
    return torch.from_numpy(PROCESS.schedule.alpha_bar).float()[t].view(-1, 1, 1, 1)


def gaussian(x_t: Tensor, t: Tensor, mean: float = 0.3, deviation: float = 0.4) -> Tensor:
    """The ideal eps where the data are N(mean, deviation^2), pixel by pixel."""
    a = alpha_bar(t)
    x0 = mean + a.sqrt() * deviation**2 / (a * deviation**2 + 1 - a) * (x_t - a.sqrt() * mean)
    return (x_t - a.sqrt() * x0) / (1 - a).sqrt()


def run(sampler: str, spacing: str, *, denoise=gaussian, clip: bool = False, noise=no_noise) -> Tensor:  # type: ignore[no-untyped-def]
    return sample(denoise, start(), PROCESS, SampleConfig(sampler, spacing, clip), noise)  # type: ignore[arg-type]


@pytest.mark.parametrize("spacing", ["1", "2", "8", "ddim25", "10,15"])
@pytest.mark.parametrize("predict", ["eps", "x0", "v"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_model_that_knows_the_picture_leads_to_it(sampler: str, predict: str, spacing: str) -> None:
    picture = torch.rand(2, 3, 8, 8, generator=Generator().manual_seed(1)) * 2 - 1
    process = Diffusion(replace(CONFIG, predict=predict))  # type: ignore[arg-type]

    def oracle(x_t: Tensor, t: Tensor) -> Tensor:
        a = alpha_bar(t)
        return process.target(picture, t, (x_t - a.sqrt() * picture) / (1 - a).sqrt())

    found = sample(oracle, start(), process, SampleConfig(sampler, spacing), fresh_noise)  # type: ignore[arg-type]
    assert (found - picture).abs().max() < 1e-3


@pytest.mark.parametrize("deviation", [0.05, 0.2, 0.4, 0.8])
def test_few_steps_of_dpm_solver_are_nearer_to_the_solution_than_as_many_of_ddim(deviation: float) -> None:
    def denoise(x: Tensor, t: Tensor) -> Tensor:
        return gaussian(x, t, deviation=deviation)

    solution = run("ddim", "1000", denoise=denoise)
    for steps in ("8", "12", "20", "40"):
        error = {name: float((run(name, steps, denoise=denoise) - solution).abs().mean()) for name in ("ddim", "dpm++")}
        assert error["dpm++"] < error["ddim"] * (0.75 if deviation > 0.3 else 1)


def test_more_steps_are_nearer_to_the_solution() -> None:
    solution = run("ddim", "1000")
    for sampler in ("ddim", "dpm++"):
        errors = [float((run(sampler, steps) - solution).abs().mean()) for steps in ("5", "20", "80")]
        assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(("sampler", "spacing"), [("ddpm", "250"), ("ddim", "250"), ("dpm++", "40")])
def test_samples_of_a_gaussian_are_distributed_like_it(sampler: str, spacing: str) -> None:
    x = torch.randn(64, 3, 8, 8, generator=Generator().manual_seed(5))
    generator = Generator().manual_seed(6)
    config = SampleConfig(sampler, spacing, clip=False)  # type: ignore[arg-type]
    samples = sample(gaussian, x, PROCESS, config, lambda step: torch.randn(x.shape, generator=generator))
    assert float(samples.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(samples.std()) == pytest.approx(0.4, abs=0.03)


def test_only_ancestral_sampling_draws_noise_and_never_at_the_last_step() -> None:
    drawn: list[int] = []

    def counted(step: int) -> Tensor:
        drawn.append(step)
        return fresh_noise(step)

    first = run("ddpm", "5", noise=counted)
    assert drawn == [4, 3, 2, 1]
    assert torch.equal(first, run("ddpm", "5", noise=fresh_noise))
    assert not torch.equal(first, run("ddpm", "5", noise=lambda step: fresh_noise(step + 100)))


def test_the_network_is_told_every_timestep_once_from_noise_to_clean() -> None:
    told: list[list[int]] = []

    def listening(x_t: Tensor, t: Tensor) -> Tensor:
        told.append(t.tolist())
        return gaussian(x_t, t)

    for sampler in SAMPLERS:
        told.clear()
        run(sampler, "ddim5", denoise=listening, noise=fresh_noise)
        assert told == [[t, t] for t in (800, 600, 400, 200, 0)]


def test_clipping_holds_the_sample_in_range() -> None:
    for sampler in SAMPLERS:
        sampled = run(sampler, "8", denoise=lambda x, t: gaussian(x, t, mean=3.0), clip=True, noise=fresh_noise)
        assert sampled.abs().max() <= 1


def cosine_error(sampler: str, steps: int) -> float:
    """Mean distance to the solution for a Gaussian of deviation 0.4 on the cosine schedule that our networks have."""
    process = Diffusion(DiffusionConfig(schedule="cosine", learn_variance=False))

    def ideal(x_t: Tensor, t: Tensor) -> Tensor:
        a = torch.from_numpy(process.schedule.alpha_bar).float()[t].view(-1, 1, 1, 1)
        x0 = 0.3 + a.sqrt() * 0.16 / (a * 0.16 + 1 - a) * (x_t - a.sqrt() * 0.3)
        return (x_t - a.sqrt() * x0) / (1 - a).sqrt()

    found, solution = (
        sample(ideal, start(), process, SampleConfig(name, spacing, clip=False), no_noise)  # type: ignore[arg-type]
        for name, spacing in ((sampler, str(steps)), ("ddim", "1000"))
    )
    return float((found - solution).abs().mean())


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "share"), [(8, 0.65), (12, 0.3)])
def test_the_corrector_of_dpm_solver_is_worth_its_place(steps: int, share: float, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Without it the error at 8 steps is twice, at 12 several times what it is."""
    with_it = cosine_error("dpm++2m-c", steps)
    monkeypatch.setattr(samplers, "corrected", lambda scale, x, step, before, x0: scale.stepped(x, step + 1, before))
    broken = cosine_error("dpm++2m-c", steps)
    plain = cosine_error("dpm++2m", steps)
    assert with_it < share * min(broken, plain, cosine_error("ddim", steps))


def test_the_older_name_means_the_same() -> None:
    assert torch.equal(run("dpm++", "8"), run("dpm++2m-c", "8"))
    assert not torch.equal(run("dpm++", "8"), run("dpm++2m", "8"))


def test_2m_is_of_second_order() -> None:
    """Its error falls faster with more steps than that of DDIM, which is of first order."""
    solution = run("ddim", "1000")
    errors = {
        name: [float((run(name, n) - solution).abs().mean()) for n in ("50", "200")] for name in ("ddim", "dpm++2m")
    }
    assert errors["dpm++2m"][0] / errors["dpm++2m"][1] > errors["ddim"][0] / errors["ddim"][1]
