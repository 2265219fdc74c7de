"""Training can stop anywhere and goes on as if it had not; the state of another run is refused."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Generator, Tensor, nn

from core.errors import Mismatch, Stopped
from guided_diffusion.engine.distributed import Group
from tests.helpers.adversarial import FOUR, IDENTITY, Toy, batch, trainer
from tests.helpers.failing import fails
from tests.helpers.left import lines, same, state


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_four_steps_are_two_resume_two(tmp_path: Path, accumulate: int, precision: str) -> None:
    config = replace(FOUR, accumulate=accumulate, precision=precision, warmup=2, ema=(0.9, 0.5))  # type: ignore[arg-type]
    trainer(tmp_path / "whole", config).run()
    trainer(tmp_path / "parts", replace(config, steps=2)).run()
    torch.rand(5)  # what the process drew elsewhere is of no consequence
    trainer(tmp_path / "parts", config).run()
    assert same(state(tmp_path / "whole"), state(tmp_path / "parts"))
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")
    found = state(tmp_path / "whole")
    assert found["optimizers"].keys() == {"network", "judge"} and found["emas"].keys() == {"0.9", "0.5"}
    assert any(value.any() for value in found["optimizers"]["judge"]["state"][0].values())


@pytest.mark.parametrize(("keep", "left"), [(0, []), (1, [7]), (2, [6, 7]), (9, [2, 4, 6, 7])])
def test_one_can_go_back_to_the_weights_of_the_last_saves(tmp_path: Path, keep: int, left: list[int]) -> None:
    trainer(tmp_path, replace(FOUR, steps=7, save_every=2, keep=keep)).run()
    found = sorted((tmp_path / "history").glob("*")) if keep else []
    assert [path.name for path in found] == [f"{step:07d}.safetensors" for step in left]
    assert [int(load_file(path)["step"]) for path in found] == left
    assert {path.name for path in tmp_path.iterdir()} - {"history"} == {
        "state.pt", "weights.safetensors", "log.jsonl", "tensorboard",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_signal_saves_the_running_step_and_the_same_command_goes_on_exactly(tmp_path: Path, name: str) -> None:
    def interrupted(indices: range) -> Iterator[Tensor]:
        for index in indices:
            if index == 2:
                os.kill(os.getpid(), getattr(signal, name))
            yield batch(index)

    before = signal.getsignal(getattr(signal, name))
    trainer(tmp_path / "whole").run()
    with fails(Stopped, "step 3", "the same command goes on") as stopped:
        trainer(tmp_path / "cut", batches=interrupted).run()
    assert stopped.value.exit_code == 130 and signal.getsignal(getattr(signal, name)) is before
    assert state(tmp_path / "cut")["step"] == 3
    trainer(tmp_path / "cut").run()
    assert same(state(tmp_path / "whole"), state(tmp_path / "cut"))


def test_a_signal_in_the_last_step_changes_nothing(tmp_path: Path) -> None:
    def interrupted(indices: range) -> Iterator[Tensor]:
        for index in indices:
            if index == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch(index)

    trainer(tmp_path, batches=interrupted).run()
    assert state(tmp_path)["step"] == 4


def test_a_second_ctrl_c_leaves_at_once_and_saves_nothing_half_done(tmp_path: Path) -> None:
    def impatient(indices: range) -> Iterator[Tensor]:
        for index in indices:
            if index == 3:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
            yield batch(index)

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, replace(FOUR, save_every=2), batches=impatient).run()
    assert state(tmp_path)["step"] == 2


@pytest.mark.parametrize("change", [{"system": "other"}, {"config": {"widths": (1, 3)}}])
def test_the_state_of_something_else_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    trainer(tmp_path).run()
    trainer(tmp_path)
    with fails(Mismatch, "state.pt", "--output"):
        trainer(tmp_path, identity=IDENTITY | change)


def test_other_settings_go_on_but_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer(tmp_path, settings={"loss": {"sync": 0.0, "widths": (1, 2)}}).run()
    trainer(tmp_path, settings={"loss": {"sync": 0.0, "widths": (1, 2), "new": 3}})
    assert not caplog.records
    trainer(tmp_path, replace(FOUR, steps=6, warmup=2), settings={"loss": {"sync": 0.1, "widths": (1, 2)}})
    (record,) = caplog.records
    assert record.getMessage().endswith("other settings than before: loss.sync 0.0 -> 0.1, train.warmup 0 -> 2")


def test_a_rate_may_be_dropped_but_not_invented(tmp_path: Path) -> None:
    trainer(tmp_path, replace(FOUR, ema=(0.9, 0.5))).run()
    trainer(tmp_path, replace(FOUR, ema=(0.5,)))
    with fails(Mismatch, "state.pt", "0.7", "train.ema among 0.9, 0.5"):
        trainer(tmp_path, replace(FOUR, ema=(0.9, 0.7)))


def test_the_state_of_another_game_is_refused(tmp_path: Path) -> None:
    class Lonely(Toy):
        def objectives(self) -> dict[str, list[nn.Parameter]]:
            return {"network": list(self.network.parameters())}

        def losses(self, batch: Tensor, generator: Generator) -> dict[str, dict[str, Tensor]]:
            return {"network": super().losses(batch, generator)["network"]}

    class Deaf(Toy):
        def objectives(self) -> dict[str, list[nn.Parameter]]:
            return super().objectives() | {"network": list(self.network[0].parameters())}

    class Larger(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.third = nn.Linear(1, 1)

    trainer(tmp_path / "lonely", module=Lonely()).run()
    with fails(Mismatch, "lonely/state.pt", "judge", "--output"):
        trainer(tmp_path / "lonely")
    trainer(tmp_path / "two").run()
    with fails(Mismatch, "two/state.pt", "network"):
        trainer(tmp_path / "two", module=Deaf())
    with fails(Mismatch, "two/state.pt", "third.bias"):
        trainer(tmp_path / "two", module=Larger())


def test_processes_that_do_not_see_the_same_folder_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer(tmp_path).run()
    monkeypatch.setattr(Group, "total", lambda group, number: number / 2)  # of two processes, the other starts anew
    with fails(Mismatch, tmp_path, "--output"):
        trainer(tmp_path)
