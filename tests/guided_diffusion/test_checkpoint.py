"""Weights come back as they were with all that is known of them; a bad file is one sentence and runs nothing."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from core.atomic import remove_unfinished, save_atomically
from core.errors import Mismatch, NotFound, Unreadable
from guided_diffusion.engine.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_strictly,
    save_checkpoint,
)
from tests.helpers.failing import fails

DRAW = torch.Generator().manual_seed(0)
WEIGHTS = {
    "layer.weight": torch.randn(4, 3, generator=DRAW),
    "layer.bias": torch.randn(4, generator=DRAW),
    "count": torch.tensor([3]),
}
CONFIG = {"unet": {"channels": 32, "channel_mult": [1, 2]}, "fill": "noise", "limit": None}


class Bomb:
    """Unpickled with trust, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.target),)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "new" / "weights.safetensors"
    save_checkpoint(path, Checkpoint("diff2lip", CONFIG, 260_000, WEIGHTS))
    found = load_checkpoint(path)
    assert (found.system, found.config, found.step) == ("diff2lip", CONFIG, 260_000)
    assert found.weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(value, WEIGHTS[name]) for name, value in found.weights.items())
    assert names(path.parent) == [path.name]


def test_half_precision_halves_the_floats_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "w.safetensors", Checkpoint("sync", {}, 1, WEIGHTS), torch.float16)
    found = load_checkpoint(tmp_path / "w.safetensors").weights
    assert {name: value.dtype for name, value in found.items()} == {
        "layer.weight": torch.float16,
        "layer.bias": torch.float16,
        "count": torch.int64,
    }
    assert (found["layer.weight"].float() - WEIGHTS["layer.weight"]).abs().max() < 2e-3


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_a_bare_table_of_weights_says_nothing_of_itself(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"release{suffix}"
    if suffix == ".safetensors":
        save_file(WEIGHTS, path)
    else:
        torch.save(WEIGHTS, path)
    found = load_checkpoint(path)
    assert found.system is None and found.config == {} and found.weights.keys() == WEIGHTS.keys()


@pytest.mark.parametrize("problem", [RuntimeError("half way"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, problem: BaseException) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")

    def write(temporary: Path) -> None:
        temporary.write_bytes(b"half of the new")
        raise problem

    with pytest.raises(type(problem)):
        save_atomically(path, write)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["state.pt"]


def test_a_write_replaces_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")
    save_atomically(path, lambda temporary: temporary.write_bytes(b"new") and None)
    assert path.read_bytes() == b"new" and names(tmp_path) == ["state.pt"]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [".hidden", ".state.pt", "state.pt", "weights.safetensors", ".notes.abcdefgh.txt", ".notes.20240101.jsonl"]
    for name in [*kept, ".lip-sync-0123456789abcdef.pt", ".lip-sync-00aa11bb22cc33dd.safetensors"]:
        (tmp_path / name).write_bytes(b"")
    remove_unfinished(tmp_path, seconds=60)  # somebody may be writing them
    assert len(names(tmp_path)) == len(kept) + 2
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / "none")
    assert names(tmp_path) == sorted(kept)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path: Path, how: str) -> None:
    path, target = tmp_path / "evil.pt", tmp_path / "pwned"
    values = {"layer.weight": torch.zeros(1), "bomb": Bomb(target)}
    if how == "torch":
        torch.save(values, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(target)))
    with fails(Unreadable, "evil.pt", "nothing in it was run"):
        load_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"PK\x03\x04 torn", b"hello there\n", bytes(range(256)) * 9])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with fails(Unreadable, path):
        load_checkpoint(path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"file{suffix}"
    if suffix == ".pt":
        torch.save(WEIGHTS, path)
    else:
        save_checkpoint(path, Checkpoint("sync", {}, 1, WEIGHTS))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with fails(Unreadable, path):
        load_checkpoint(path)


def test_what_is_not_there_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.safetensors", tmp_path):
        with fails(NotFound, path, "--model_path"):
            load_checkpoint(path)


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"epoch": 3}, {"state_dict": {"a": 1}}])
def test_a_file_that_holds_more_than_weights_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pt")
    with fails(Unreadable, "other.pt"):
        load_checkpoint(tmp_path / "other.pt")


def test_weights_beside_an_optimisers_state_are_found(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "optimizer": {"lr": 0.1}}, tmp_path / "other.pt")
    assert load_checkpoint(tmp_path / "other.pt").weights.keys() == WEIGHTS.keys()


@pytest.mark.parametrize("metadata", [{}, {"system": "sync", "step": "1", "config": "{"}, {"system": "sync"}])
def test_torn_metadata_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    save_file(WEIGHTS, tmp_path / "torn.safetensors", {"format": "lipsync-1"} | metadata)
    with fails(Unreadable, "torn.safetensors"):
        load_checkpoint(tmp_path / "torn.safetensors")


def test_loading_is_strict_and_names_what_is_wrong() -> None:
    module = nn.ModuleDict({"layer": nn.Linear(3, 4)})
    right = {"layer.weight": torch.ones(4, 3), "layer.bias": torch.zeros(4)}
    for weights, *named in (
        ({"layer.weight": right["layer.weight"]}, "layer.bias"),
        (right | {"extra": torch.zeros(1)}, "extra"),
        (right | {"layer.bias": torch.zeros(5)}, "layer.bias", (5,), (4,)),
    ):
        with fails(Mismatch, "file", *named):
            load_strictly(module, weights, "file")
    load_strictly(module, right, "file")
    assert torch.equal(module.state_dict()["layer.weight"], right["layer.weight"])


def test_a_file_is_readable_by_whom_any_file_is(tmp_path: Path) -> None:
    plain, checkpoint = tmp_path / "plain", tmp_path / "weights.safetensors"
    plain.touch()
    save_checkpoint(checkpoint, Checkpoint("sync", {}, 1, WEIGHTS))
    assert checkpoint.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_file_that_may_not_be_read_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError

    path = tmp_path / f"locked{suffix}"
    path.touch()
    monkeypatch.setattr(Path, "open", denied)  # who runs as root may read anything
    with fails(Unreadable, path, "change its permissions"):
        load_checkpoint(path)
