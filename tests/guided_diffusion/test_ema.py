"""The average follows the weights, slowly, without touching them."""

import pytest
import torch
from torch import nn

from guided_diffusion.engine.ema import Ema
from tests.helpers.failing import fails


def constant(value: float) -> nn.Module:
    module = nn.BatchNorm1d(2)
    with torch.no_grad():
        module.weight.fill_(value)
        module.bias.fill_(value)
    return module


def test_it_starts_as_a_copy() -> None:
    module = constant(1.0)
    ema = Ema(module)
    with torch.no_grad():
        module.weight.fill_(5.0)
    assert ema.weights["weight"].tolist() == [1.0, 1.0]


def test_it_follows_the_formula_with_its_warm_up() -> None:
    ema, expected = Ema(constant(0.0), rate=0.25), 0.0
    for update in range(1, 8):
        ema.update(constant(float(update)))
        rate = min(0.25, (1 + update) / (10 + update))
        expected = rate * expected + (1 - rate) * update
    assert ema.weights["weight"].tolist() == pytest.approx([expected, expected])
    assert ema.updates == 7


def test_a_short_run_is_not_dominated_by_its_start() -> None:
    ema = Ema(constant(100.0), rate=0.9999)
    for _ in range(30):
        ema.update(constant(1.0))
    assert abs(float(ema.weights["weight"][0]) - 1) < 0.5


def test_buffers_are_taken_as_they_are() -> None:
    module = constant(1.0)
    ema = Ema(module, rate=0.5)
    module(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    ema.update(module)
    assert ema.weights["num_batches_tracked"] == 1
    assert torch.equal(ema.weights["running_mean"], module.running_mean)  # type: ignore[arg-type]


def test_a_half_precision_module_is_averaged_in_full_precision() -> None:
    ema = Ema(constant(1.0).half(), rate=0.5)
    assert all(value.dtype == torch.float32 for value in ema.weights.values())


def test_it_goes_on_from_what_was_saved() -> None:
    ema, other = Ema(constant(1.0), 0.9), Ema(constant(7.0), 0.9)
    ema.update(constant(2.0))
    other.load(ema.weights, ema.updates)
    for each in (ema, other):
        each.update(constant(3.0))
    assert all(torch.equal(value, other.weights[name]) for name, value in ema.weights.items())


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with fails(ValueError, "EMA rate", rate):
        Ema(constant(1.0), rate)
