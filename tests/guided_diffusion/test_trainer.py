"""A step does what its objectives say and nothing else; what goes wrong is one sentence and costs no saved state."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Generator, Tensor, nn

from core.errors import BadInput
from guided_diffusion.engine import trainer as engine_trainer
from guided_diffusion.engine.distributed import Group
from guided_diffusion.engine.train_step import micro_batches
from guided_diffusion.engine.trainer import Evaluation, Trainer
from guided_diffusion.unet import UNet, UNetConfig
from tests.helpers.adversarial import FOUR, Toy, batch, measured, trainer
from tests.helpers.failing import fails
from tests.helpers.left import TIMING, lines, same, state
from tests.helpers.seeded import seeded


def test_the_toy_trains_both_players_and_nothing_else(tmp_path: Path) -> None:
    module = Toy()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trainer(tmp_path, module=module).run()
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("fixed")}


def test_a_step_is_the_sum_of_all_terms_for_each_of_its_parameters(tmp_path: Path) -> None:
    module, again = Toy(), Toy()
    for each in (module, again):
        each.network[2].p = 0.0
    trainer(tmp_path, replace(FOUR, steps=1, clip_norm=1e9), module=module).run()
    terms = again.losses(batch(0), Generator().manual_seed(0))
    for name, parameters in again.objectives().items():
        optimizer = torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1)
        torch.stack(list(terms[name].values())).sum().backward(retain_graph=True, inputs=parameters)
        optimizer.step()
    assert all(torch.allclose(v, again.state_dict()[k], atol=1e-6) for k, v in module.state_dict().items())


def test_each_objective_is_clipped_alone(tmp_path: Path) -> None:
    class Steep(Toy):
        def losses(self, batch: Tensor, generator: Generator) -> dict[str, dict[str, Tensor]]:
            found = super().losses(batch, generator)
            return found | {"judge": {"tell": 1e6 * found["judge"]["tell"]}}

    plain, steep = (trainer(tmp_path / kind.__name__, module=kind()) for kind in (Toy, Steep))
    plain.run()
    steep.run()
    assert lines(tmp_path / "Toy")[0]["network/gradient_norm"] == lines(tmp_path / "Steep")[0]["network/gradient_norm"]
    assert lines(tmp_path / "Steep")[0]["judge/gradient_norm"] > 1e5
    norms = [sum((p.grad**2).sum() for p in run.update.objectives["judge"]) ** 0.5 for run in (plain, steep)]
    assert max(norms) < 1 + 1e-4


@pytest.mark.slow
def test_training_lowers_the_loss_and_publishes_the_averages(tmp_path: Path) -> None:
    module = Toy()
    config = replace(FOUR, steps=200, save_every=80, ema=(0.9, 0.99), weight_decay=0.0)
    trainer(tmp_path, config, module=module).run()
    log = lines(tmp_path)
    assert sum(line["network/fit"] for line in log[-20:]) < 0.5 * sum(line["network/fit"] for line in log[:20])
    emas = state(tmp_path)["emas"]
    for name, rate in (("weights", "0.9"), ("weights-0.99", "0.99")):
        published = load_file(tmp_path / f"{name}.safetensors")
        assert int(published.pop("step")) == 200 and same(published, emas[rate]["weights"])
        assert not same(published, module.network.state_dict())
    assert not same(emas["0.9"]["weights"], emas["0.99"]["weights"])


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_loss_that_is_not_finite_stops_with_a_sentence_and_keeps_the_saved_state(
    tmp_path: Path, precision: str
) -> None:
    def poisoned(indices: range) -> Iterator[Tensor]:
        return (batch(index) * float("nan") if index == 3 else batch(index) for index in indices)

    config = replace(FOUR, save_every=2, precision=precision)  # type: ignore[arg-type]
    trainer(tmp_path / "good", replace(config, steps=2)).run()
    module = Toy()
    run = trainer(tmp_path / "bad", config, module=module, batches=poisoned)
    with fails(BadInput, "step 3", "network/fit", "train.learning_rate", "0.01"):
        run.run()
    good, bad = state(tmp_path / "good"), state(tmp_path / "bad")
    assert bad["step"] == 2 and same(good["weights"], bad["weights"]) and same(good["emas"], bad["emas"])
    three = Toy()
    trainer(tmp_path / "three", replace(config, steps=3), module=three).run()
    assert same(three.state_dict(), module.state_dict())


def test_a_run_is_saved_by_the_clock_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []

    def noted(run: Trainer[Tensor], log: object = None) -> None:
        saved.append(run.step)
        save(run)

    save = Trainer.save
    monkeypatch.setattr(Trainer, "save", noted)
    config = replace(FOUR, save_every=100)
    for minutes, expected in ((1e-9, [1, 2, 3, 4]), (60.0, [4]), (0.0, [4])):
        saved.clear()
        trainer(tmp_path / str(minutes), replace(config, save_minutes=minutes)).run()
        assert saved == expected


class Cliff(Toy):
    """The slope of its loss is infinite at the start."""

    def losses(self, batch: Tensor, generator: Generator) -> dict[str, dict[str, Tensor]]:
        found = super().losses(batch, generator)
        return found | {"network": {"root": (self.network(batch) * 0).sum().sqrt()}}


def test_a_gradient_that_is_not_finite_stops_before_it_does_harm(tmp_path: Path) -> None:
    module = Cliff()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with fails(BadInput, "step 0", "gradient of network"):
        trainer(tmp_path, module=module).run()
    assert same(before, module.state_dict()) and not (tmp_path / "state.pt").exists()


def test_in_fp16_an_overflow_lowers_the_scale_until_that_cannot_help(tmp_path: Path) -> None:
    module = Cliff()
    before = {name: value.clone() for name, value in module.network.state_dict().items()}
    run = trainer(tmp_path, replace(FOUR, steps=40, precision="fp16"), module=module)
    with fails(BadInput, "step 16", "gradient of network"):
        run.run()
    assert run.update.scaler.get_scale() == 1 and same(before, module.network.state_dict())
    log = lines(tmp_path)
    assert all("network/gradient_norm" not in line for line in log) and "judge/gradient_norm" in log[-1]


def test_what_is_averaged_must_be_what_is_trained(tmp_path: Path) -> None:
    with fails(ValueError, "averaged"):
        trainer(tmp_path, averaged=Toy().network)
    trainer(tmp_path, module=(module := Toy()), averaged=module).run()
    assert state(tmp_path)["emas"]["0.9"]["weights"].keys() == module.state_dict().keys()


@pytest.mark.parametrize("share", [lambda toy: [], lambda toy: list(toy.network.parameters())])
def test_objectives_that_are_empty_or_overlap_are_a_bug(tmp_path: Path, share: Any) -> None:
    class Wrong(Toy):
        def objectives(self) -> dict[str, list[nn.Parameter]]:
            return super().objectives() | {"judge": share(self)}

    with fails(ValueError, "network", "judge", "parameters"):
        trainer(tmp_path, module=Wrong())


def test_terms_of_no_objective_are_a_bug(tmp_path: Path) -> None:
    class Wrong(Toy):
        def objectives(self) -> dict[str, list[nn.Parameter]]:
            return {"network": list(self.network.parameters())}

    with fails(ValueError, "['judge', 'network']", "['network']"):
        trainer(tmp_path, module=Wrong()).run()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_micro_batch_is_drawn_once_by_whatever_number_of_processes(size: int) -> None:
    config = replace(FOUR, steps=6, accumulate=6 // size)
    parts = [micro_batches(config, Group(rank, size), 2) for rank in range(size)]
    assert sorted(index for part in parts for index in part) == list(range(12, 36))
    assert [part[0] for part in parts] == list(range(12, 12 + size))


def test_two_accumulated_batches_are_one_of_twice_the_size(tmp_path: Path) -> None:
    class Plain(Toy):
        def losses(self, batch: Tensor, generator: Generator) -> dict[str, dict[str, Tensor]]:
            self.network.eval()
            made = self.network(batch)
            judged = self.judge(made.detach())
            return {"network": {"fit": ((made - batch[:, :2]) ** 2).mean()}, "judge": {"all": judged.mean()}}

    def doubled(indices: range) -> Iterator[Tensor]:
        return (torch.cat([batch(2 * index), batch(2 * index + 1)]) for index in indices)

    modules = Plain(), Plain()
    trainer(tmp_path / "two", replace(FOUR, accumulate=2), module=modules[0]).run()
    trainer(tmp_path / "one", FOUR, module=modules[1], batches=doubled).run()
    for name, value in modules[0].state_dict().items():
        assert torch.allclose(value, modules[1].state_dict()[name], atol=1e-6)
    assert [line["network/fit"] for line in lines(tmp_path / "two")] == pytest.approx(
        [line["network/fit"] for line in lines(tmp_path / "one")], rel=1e-4
    )


def test_the_learning_rate_of_the_config_is_the_optimisers(tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(FOUR, warmup=2, cooldown=2))
    run.run()
    for optimizer in run.update.optimizers.values():
        assert optimizer.param_groups[0]["lr"] == pytest.approx(FOUR.learning_rate / 2)


def test_the_log_tells_of_every_term_of_the_pace_and_of_the_measurements(tmp_path: Path) -> None:
    seen: list[int] = []

    def evaluate(step: int, weights: dict[str, Tensor]) -> Evaluation:
        seen.append(step)
        return Evaluation({"matched_db": 1.23456789})

    trainer(tmp_path, replace(FOUR, steps=6, log_every=2, evaluate_every=3), evaluate=evaluate).run()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 3, 4, 6, 6]
    assert log[1] == {"step": 3, "matched_db": 1.23457} and seen == [3, 6]
    assert set(log[0]) == {
        "step", "network/fit", "network/fool", "judge/tell", "network/gradient_norm", "judge/gradient_norm", *TIMING,
    }  # fmt: skip
    assert log[0]["clips_per_second"] == pytest.approx(4 * log[0]["steps_per_second"], rel=1e-4)
    assert 0 <= log[0]["data_wait"] <= 1 and log[0]["memory_gb"] > 0


def test_the_average_of_the_first_rate_is_evaluated(tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(FOUR, ema=(0.5, 0.9), evaluate_every=4), evaluate=measured)
    run.run()
    expected = measured(4, state(tmp_path)["emas"]["0.5"]["weights"]).figures["norm"]
    assert lines(tmp_path)[-1] == {"step": 4, "norm": pytest.approx(expected, rel=1e-5)}


class Drawing(nn.Module):
    """A UNet that learns to draw white."""

    def __init__(self) -> None:
        super().__init__()
        config = UNetConfig(16, 3, 3, 32, (1, 1), res_blocks=1, attention_resolutions=(), head_channels=32)
        with seeded():
            self.network = UNet(config)

    def objectives(self) -> dict[str, list[nn.Parameter]]:
        return {"network": list(self.parameters())}

    def losses(self, batch: Tensor, generator: Generator) -> dict[str, dict[str, Tensor]]:
        x = torch.randn(1, 3, 16, 16, generator=generator)
        return {"network": {"fit": ((self.network(x, torch.zeros(1)) - 1) ** 2).mean()}}


@pytest.mark.slow
def test_gradient_checkpointing_is_the_configs_business_and_no_part_of_the_network(tmp_path: Path) -> None:
    weights = []
    for checkpointing in (False, True):
        module = Drawing()
        config = replace(FOUR, gradient_checkpointing=checkpointing)
        trainer(tmp_path / str(checkpointing), config, module=module).run()
        assert module.network.gradient_checkpointing == checkpointing
        weights.append(state(tmp_path / str(checkpointing))["weights"])
    assert same(*weights)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # the compiler looks at it
@pytest.mark.slow
def test_a_compiled_network_trains_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as for the compiler, but run as it is: generating code for the CPU takes minutes."""
    monkeypatch.setattr(UNet, "compile", partialmethod(UNet.compile, backend="eager"))
    monkeypatch.setattr(engine_trainer, "compiler_problem", lambda device: None)
    found = []
    for compiled in (False, True):
        config = replace(FOUR, steps=2, gradient_checkpointing=compiled, compile=compiled)
        trainer(tmp_path / str(compiled), config, module=Drawing()).run()
        found.append(state(tmp_path / str(compiled))["weights"])
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(value, found[1][name], atol=1e-5) for name, value in found[0].items())


@pytest.mark.slow
def test_a_run_by_the_clock_ends_by_it_and_its_rate_falls_to_nothing(tmp_path: Path) -> None:
    config = replace(FOUR, steps=100_000, minutes=0.02, falling=0.5, warmup=0, cooldown=0, save_every=100_000)
    run = trainer(tmp_path, config)
    run.run()
    assert 0 < run.step < 100_000 and state(tmp_path)["step"] == run.step and state(tmp_path)["seconds"] >= 1.2
    assert config.rate(9, 0.5) == config.learning_rate
    assert config.rate(9, 0.75) == pytest.approx(config.learning_rate / 2) and config.rate(9, 1.0) == 0
    again = trainer(tmp_path, config)
    again.run()
    assert again.step == run.step  # its time is over


@pytest.mark.gpu
def test_noise_is_drawn_where_the_training_is(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")

    class Where(Toy):
        def losses(self, batch: Tensor, generator: Generator) -> dict[str, dict[str, Tensor]]:
            assert generator.device.type == "cuda"
            return super().losses(batch.cuda(), Generator())

    trainer(tmp_path, module=Where().cuda(), device="cuda").run()
