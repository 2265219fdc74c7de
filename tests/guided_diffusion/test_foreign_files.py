"""A run's folder may hold what is not the run's: nothing of that is lost, and what is broken is said in a sentence."""

from pathlib import Path

import pytest
import torch

from core.errors import Mismatch, Unreadable
from guided_diffusion.engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from guided_diffusion.engine.trainer import TrainConfig, Trainer
from tests.helpers.failing import fails
from tests.helpers.line import Line


def train(folder: Path, steps: int = 4) -> None:
    model = Line()

    def publish(path: Path, step: int, weights: dict[str, torch.Tensor]) -> None:
        save_checkpoint(path, Checkpoint("line", {}, step, weights))

    config = TrainConfig(steps=steps, batch=1, save_every=1, keep=2, log_every=1)
    Trainer(
        model, lambda indices: (torch.ones(2) for _ in indices), config, folder,
        averaged=model, identity={"system": "line"}, publish=publish,
    ).run()  # fmt: skip


def test_what_a_user_keeps_in_history_stays(tmp_path: Path) -> None:
    kept = ["best.safetensors", "0000000.safetensors", "notes.txt", ".notes.20240101.jsonl", "2024.safetensors"]
    (tmp_path / "history").mkdir()
    for name in kept:
        (tmp_path / "history" / name).write_bytes(b"mine")
    train(tmp_path)
    train(tmp_path, 6)
    left = {path.name for path in (tmp_path / "history").iterdir()}
    assert left == {*kept, "0000005.safetensors", "0000006.safetensors"}
    assert all((tmp_path / "history" / name).read_bytes() == b"mine" for name in kept)


def test_a_file_where_earlier_weights_go_is_refused_before_any_step(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    mine = tmp_path / "history" / "0000002.safetensors"
    mine.write_bytes(b"mine")
    with fails(Mismatch, "0000002.safetensors"):
        train(tmp_path)
    assert mine.read_bytes() == b"mine" and not (tmp_path / "state.pt").exists()


def test_earlier_weights_of_a_run_that_noted_none_are_still_pruned(tmp_path: Path) -> None:
    train(tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["history"]
    torch.save(state, tmp_path / "state.pt")
    train(tmp_path, 6)
    assert {path.stem for path in (tmp_path / "history").iterdir()} == {"0000005", "0000006"}


BROKEN = ("empty", "text", "half", "a list", "a tensor", "no weights", "another shape", "a word")


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_or_foreign_state_is_refused_with_the_remedy(tmp_path: Path, how: str) -> None:
    train(tmp_path)
    path = tmp_path / "state.pt"
    whole, state = path.read_bytes(), torch.load(path, weights_only=True)
    if how in ("empty", "text", "half"):
        path.write_bytes({"empty": b"", "text": b"hello", "half": whole[: len(whole) // 2]}[how])
    elif how == "no weights":
        torch.save({name: value for name, value in state.items() if name != "weights"}, path)
    elif how == "another shape":
        torch.save(state | {"optimizers": {"line": {"param_groups": 3}}}, path)
    elif how == "a word":
        torch.save(state | {"step": "four"}, path)
    else:
        torch.save([1] if how == "a list" else torch.ones(1), path)
    before = path.read_bytes()
    with fails(Unreadable, "state.pt", "--output"):
        train(tmp_path, 6)
    assert path.read_bytes() == before


FOREIGN = ("my diary\n", '{"mine": 1}\n', '{"step": 1}\n[]\n', '{"step": "1"}\n', '{"step": 1,}\n')


@pytest.mark.parametrize("text", FOREIGN)
def test_a_foreign_log_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    with fails(Unreadable, "log.jsonl, line "):
        train(tmp_path)
    assert (tmp_path / "log.jsonl").read_text() == text


def test_a_log_that_a_kill_tore_goes_on(tmp_path: Path) -> None:
    train(tmp_path, 2)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "line/l')
    train(tmp_path, 4)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (["step"], 10**30), (["step"], -1), (["step"], "x"), (["step"], 0.5), (["seconds"], float("nan")),
        (["history"], ["../mine.safetensors"]), (["history"], 3),
        (["optimizers", "line", "state", 0, "exp_avg_sq"], "x"),
        (["optimizers", "line", "state", 0, "exp_avg"], torch.zeros(3)),
        (["optimizers", "line", "state", 0, "step"], torch.tensor(float("inf"))),
    ],
)  # fmt: skip
def test_a_state_that_says_what_cannot_be_is_refused(tmp_path: Path, where: list[str], what: object) -> None:
    train(tmp_path)
    whole = node = torch.load(tmp_path / "state.pt", weights_only=True)
    for key in where[:-1]:
        node = node[key]
    assert where[-1] in node
    node[where[-1]] = what
    torch.save(whole, tmp_path / "state.pt")
    with fails(Unreadable, "state.pt"):
        train(tmp_path, 6)


def test_an_optimiser_goes_on_as_it_is_told_now(tmp_path: Path) -> None:
    """Betas of somebody else's in a state count for nothing."""
    train(tmp_path / "a", 6)
    train(tmp_path / "b")
    whole = torch.load(tmp_path / "b" / "state.pt", weights_only=True)
    whole["optimizers"]["line"]["param_groups"][0] |= {"betas": "x", "eps": None}
    torch.save(whole, tmp_path / "b" / "state.pt")
    train(tmp_path / "b", 6)
    one, other = (load_checkpoint(tmp_path / name / "weights.safetensors").weights["weight"] for name in "ab")
    assert torch.equal(one, other)


def test_an_archive_of_an_unknown_version_is_left_to_torch(tmp_path: Path) -> None:
    train(tmp_path)
    data = bytearray((tmp_path / "state.pt").read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 6] = 128
    (tmp_path / "state.pt").write_bytes(data)
    train(tmp_path, 6)  # zipfile refuses it, torch reads it
