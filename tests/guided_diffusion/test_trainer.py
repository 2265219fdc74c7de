"""Training can stop anywhere and goes on as if it had not; what goes wrong is one sentence and costs no saved state."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from errors import BadInput
from guided_diffusion.log import Log
from guided_diffusion.trainer import Objective, TrainConfig, Trainer

FOUR = TrainConfig(steps=4, batch=4, learning_rate=0.01, ema=0.9, weight_decay=0.1, log_every=1, save_every=100)


class Toy(nn.Module):
    """A regression with a random term, and a second player with an optimiser of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Linear(3, 2), nn.Linear(2, 1)

    def objectives(self) -> dict[str, Objective[Tensor]]:
        return {
            "first": Objective(list(self.first.parameters()), self.losses),
            "second": Objective(list(self.second.parameters()), self.judgement),
        }

    def losses(self, batch: Tensor, generator: Generator) -> dict[str, Tensor]:
        noise = torch.randn(len(batch), 2, generator=generator)
        return {"fit": ((self.first(batch) - batch[:, :2]) ** 2).mean(), "noise": (self.first(batch) * noise).mean()}

    def judgement(self, batch: Tensor, generator: Generator) -> dict[str, Tensor]:
        return {"real": ((self.second(self.first(batch).detach()) - torch.rand(1, generator=generator)) ** 2).mean()}


def data(first: int, size: int = 4) -> Iterator[Tensor]:
    while True:
        yield torch.randn(size, 3, generator=Generator().manual_seed(first))
        first += 1


def trainer(
    folder: Path,
    config: TrainConfig = FOUR,
    *,
    module: nn.Module | None = None,
    batches: Callable[[int], Iterator[Tensor]] = data,
    identity: Mapping[str, Any] | None = None,
    publish: Callable[[int, dict[str, Tensor]], None] = lambda step, weights: None,
    evaluate: Callable[[int, dict[str, Tensor]], Mapping[str, float]] | None = None,
) -> Trainer[Tensor]:
    module = module or Toy()
    return Trainer(
        module, module.objectives(), batches, config, folder,
        identity=dict(identity or {"system": "toy", "config": {"widths": (1, 2)}}), publish=publish, evaluate=evaluate,
    )  # fmt: skip


def same(one: object, other: object) -> bool:
    """Equality through tables and lists, bit for bit in tensors."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "state.pt", weights_only=True)
    return found


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_four_steps_are_two_resume_two(tmp_path: Path, accumulate: int, precision: str) -> None:
    config = replace(FOUR, accumulate=accumulate, precision=precision, warmup=3)  # type: ignore[arg-type]
    trainer(tmp_path / "whole", config).run()
    trainer(tmp_path / "parts", replace(config, steps=3)).run()
    trainer(tmp_path / "parts", replace(config, steps=4)).run()
    assert same(state(tmp_path / "whole"), state(tmp_path / "parts"))
    assert len(state(tmp_path / "whole")["optimizers"]["first"]["state"]) == 2
    timing = ("steps_per_second", "data_wait")
    whole, parts = (
        [{k: v for k, v in line.items() if k not in timing} for line in lines(tmp_path / name)]
        for name in ("whole", "parts")
    )
    assert whole == parts


def test_training_lowers_the_loss_and_publishes_the_average(tmp_path: Path) -> None:
    published: list[tuple[int, dict[str, Tensor]]] = []

    def publish(step: int, weights: dict[str, Tensor]) -> None:
        published.append((step, {name: value.clone() for name, value in weights.items()}))

    module = Toy()
    trainer(tmp_path, replace(FOUR, steps=200, save_every=80), module=module, publish=publish).run()
    log = lines(tmp_path)
    assert sum(line["first/fit"] for line in log[-20:]) < 0.2 * sum(line["first/fit"] for line in log[:20])
    assert [step for step, _ in published] == [80, 160, 200]
    assert same(published[-1][1], state(tmp_path)["ema"])
    assert not same(published[-1][1], module.state_dict())


@pytest.mark.parametrize("at", [0, 1, 5])
def test_an_interrupted_run_saves_and_goes_on_exactly(tmp_path: Path, at: int) -> None:
    def interrupted(first: int) -> Iterator[Tensor]:
        for micro_step, batch in enumerate(data(first), first):
            if micro_step == at:
                raise KeyboardInterrupt
            yield batch

    config = replace(FOUR, steps=6)
    trainer(tmp_path / "whole", config).run()
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "cut", config, batches=interrupted).run()
    assert state(tmp_path / "cut")["step"] == at
    trainer(tmp_path / "cut", config).run()
    assert same(state(tmp_path / "whole"), state(tmp_path / "cut"))


def test_a_step_that_is_interrupted_half_way_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer(tmp_path / "whole").run()
    run = trainer(tmp_path / "cut", replace(FOUR, save_every=2))

    def second_dies(*_: object) -> None:
        if run.step == 3:
            raise KeyboardInterrupt
        original()

    original = run.optimizers["second"].step
    monkeypatch.setattr(run.optimizers["second"], "step", second_dies)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert state(tmp_path / "cut")["step"] == 2
    trainer(tmp_path / "cut").run()
    whole, cut = state(tmp_path / "whole"), state(tmp_path / "cut")
    assert same(whole, cut)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_loss_that_is_not_finite_stops_with_a_sentence_and_keeps_the_saved_state(
    tmp_path: Path, precision: str
) -> None:
    def poisoned(first: int) -> Iterator[Tensor]:
        for micro_step, batch in enumerate(data(first), first):
            yield batch * float("nan") if micro_step == 3 else batch

    config = replace(FOUR, save_every=2, precision=precision)  # type: ignore[arg-type]
    trainer(tmp_path / "good", replace(config, steps=2)).run()
    with pytest.raises(BadInput, match=r"step 3: the loss first/fit is not finite; .*train\.learning_rate than 0\.01"):
        trainer(tmp_path / "bad", config, batches=poisoned).run()
    good, bad = state(tmp_path / "good"), state(tmp_path / "bad")
    assert bad["step"] == 2 and same(good["weights"], bad["weights"]) and same(good["ema"], bad["ema"])


def test_a_gradient_that_is_not_finite_stops_before_it_does_harm(tmp_path: Path) -> None:
    class Cliff(Toy):
        def losses(self, batch: Tensor, generator: Generator) -> dict[str, Tensor]:
            return {"root": (self.first(batch) * 0).sum().sqrt()}

    module = Cliff()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(BadInput, match="step 0: the gradient of first is not finite"):
        trainer(tmp_path, module=module).run()
    assert same(before, module.state_dict()) and not (tmp_path / "state.pt").exists()


@pytest.mark.parametrize("change", [{"system": "other"}, {"config": {"widths": (1, 3)}}])
def test_the_state_of_something_else_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    identity = {"system": "toy", "config": {"widths": (1, 2)}}
    trainer(tmp_path, identity=identity).run()
    trainer(tmp_path, identity=identity)
    with pytest.raises(BadInput, match=r"state\.pt: was made with another system or config; choose another --output"):
        trainer(tmp_path, identity=identity | change)


def test_two_accumulated_batches_are_one_of_twice_the_size(tmp_path: Path) -> None:
    class Plain(Toy):
        def losses(self, batch: Tensor, generator: Generator) -> dict[str, Tensor]:
            return {"fit": ((self.first(batch) - batch[:, :2]) ** 2).mean()}

        def objectives(self) -> dict[str, Objective[Tensor]]:
            return {"first": Objective(list(self.parameters()), self.losses)}

    def doubled(first: int) -> Iterator[Tensor]:
        halves = data(2 * first)
        while True:
            yield torch.cat([next(halves), next(halves)])

    modules = Plain(), Plain()
    trainer(tmp_path / "two", replace(FOUR, accumulate=2), module=modules[0]).run()
    trainer(tmp_path / "one", FOUR, module=modules[1], batches=doubled).run()
    for name, value in modules[0].state_dict().items():
        assert torch.allclose(value, modules[1].state_dict()[name], atol=1e-6)
    assert [line["first/fit"] for line in lines(tmp_path / "two")] == pytest.approx(
        [line["first/fit"] for line in lines(tmp_path / "one")], rel=1e-4
    )


def test_each_optimiser_moves_its_own_parameters_alone(tmp_path: Path) -> None:
    module = Toy()
    objectives = {"first": module.objectives()["first"]}
    before = {name: value.clone() for name, value in module.state_dict().items()}
    Trainer(module, objectives, data, FOUR, tmp_path, identity={}, publish=lambda step, weights: None).run()
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"first.weight", "first.bias"}


def test_the_learning_rate_rises_stays_and_falls(tmp_path: Path) -> None:
    config = TrainConfig(steps=10, warmup=4, cooldown=3, learning_rate=1.0)
    rates = [config.rate(step) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 2 / 3, 1 / 3])
    assert {TrainConfig(steps=10, learning_rate=0.5).rate(step) for step in range(10)} == {0.5}
    run = trainer(tmp_path, replace(FOUR, warmup=2, cooldown=2))
    run.run()
    assert run.optimizers["first"].param_groups[0]["lr"] == pytest.approx(FOUR.learning_rate / 2)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"batch": 0}, {"accumulate": 0}, {"log_every": 0}, {"steps": 10, "warmup": 6, "cooldown": 5}],
)
def test_an_impossible_recipe_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|exceed"):
        TrainConfig(**wrong)  # type: ignore[arg-type]


def test_the_log_tells_of_every_term_and_of_the_measurements(tmp_path: Path) -> None:
    seen: list[int] = []

    def evaluate(step: int, weights: dict[str, Tensor]) -> dict[str, float]:
        seen.append(step)
        return {"own_db": 1.23456789}

    trainer(tmp_path, replace(FOUR, steps=6, log_every=2, evaluate_every=3), evaluate=evaluate).run()
    log = lines(tmp_path)
    assert [line["step"] for line in log] == [2, 3, 4, 6, 6]
    assert log[1] == {"step": 3, "own_db": 1.23457} and seen == [3, 6]
    assert set(log[0]) == {
        "step", "first/fit", "first/noise", "second/real", "first/gradient_norm", "second/gradient_norm",
        "steps_per_second", "data_wait",
    }  # fmt: skip
    assert log[0]["steps_per_second"] > 0 and 0 <= log[0]["data_wait"] <= 1


def test_a_log_line_is_the_mean_since_the_last(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    for value in (1.0, 2.0, 6.0):
        log.add({"loss": value})
    assert log.flush(3) == {"loss": 3.0}
    log.add({"loss": 5.0})
    log.flush(4, {"speed": 2.0})
    assert lines(tmp_path) == [{"step": 3, "loss": 3.0}, {"step": 4, "loss": 5.0, "speed": 2.0}]


def test_a_log_forgets_what_was_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "lo')
    Log(path, 2).write(3, {"loss": 1.0})
    assert lines(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 1.0}]
