"""A recipe that cannot be followed is refused before anything is trained."""

import math
from typing import Any

import pytest

from core.errors import BadValue
from guided_diffusion.engine.config import from_dict, to_dict, with_overrides
from guided_diffusion.engine.train_config import TrainConfig
from tests.helpers.failing import fails


def test_the_learning_rate_rises_stays_and_falls() -> None:
    config = TrainConfig(steps=10, warmup=4, cooldown=3, learning_rate=1.0)
    rates = [config.rate(step) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 2 / 3, 1 / 3])
    assert {TrainConfig(steps=10, learning_rate=0.5).rate(step) for step in range(10)} == {0.5}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"steps": 0}, "steps"), ({"batch": 0}, "batch"), ({"accumulate": 0}, "accumulate"),
        ({"log_every": 0}, "interval"), ({"steps": 10, "warmup": 6, "cooldown": 5}, "cooldown 5"),
        ({"keep": -1}, "keep"), ({"seed": -1}, "seed"), ({"seed": 2**32}, "seed"), ({"warmup": -3}, "warmup"),
        ({"learning_rate": -1.0}, "learning_rate"), ({"learning_rate": math.nan}, "learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"), ({"clip_norm": 0.0}, "clip_norm"),
        ({"ema": ()}, "ema"), ({"ema": (1.0,)}, "ema"), ({"ema": (-0.1,)}, "ema"), ({"ema": (0.9, 0.9)}, "ema"),
    ],
)  # fmt: skip
def test_an_impossible_recipe_is_refused(wrong: dict[str, Any], named: str) -> None:
    with fails(ValueError, named):
        TrainConfig(**wrong)


def test_it_comes_back_from_its_values_and_takes_several_rates() -> None:
    config = with_overrides(TrainConfig(), ["ema=[0.9999, 0.999]", "precision=bf16", "compile=true"])
    assert config.ema == (0.9999, 0.999) and config.compile
    assert from_dict(TrainConfig, to_dict(config)) == config
    with fails(BadValue, "--set.ema", "[0.999]"):
        with_overrides(TrainConfig(), ["ema=0.999"])
