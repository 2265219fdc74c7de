"""From a prepared folder to weights, by the command that the README gives; and again, from where it stopped."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from toy import talking

import train as program
from dataset import save_clip
from errors import BadInput
from guided_diffusion.trainer import Trainer
from systems.registry import load
from systems.training import preset, train

MODEL = [
    "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1,2]", "model.unet.patch=2",
    "model.unet.head_channels=32", "model.unet.attention_resolutions=[]", "model.sampling.spacing=2",
]  # fmt: skip
EXPERT = ["model.size=32", "model.shrink=1", "model.widths=[32,32]", "model.embedding=16"]
SHORT = [
    "train.precision=fp32", "train.batch=4", "train.warmup=0", "train.cooldown=0", "train.save_every=100",
    "train.log_every=1", "train.evaluate_every=2",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "prepared"
    for number, (split, speaker) in enumerate([("train", "ann"), ("train", "bob"), ("test", "eve"), ("seen", "ann")]):
        save_clip(folder / split / speaker / f"clip{number}.npz", talking(number, frames=12))
    return folder


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "state.pt", weights_only=True)
    return found


def test_a_system_is_trained_measured_and_resumed(data: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = [*MODEL, *SHORT]
    train("diff2lip-small", data, whole, overrides=[*settings, "train.steps=3"], device="cpu")
    for steps in (2, 3):
        train("diff2lip-small", data, parts, overrides=[*settings, f"train.steps={steps}"], device="cpu")
    for name in ("weights", "ema"):
        one, other = state(whole)[name], state(parts)[name]
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)

    assert {path.name for path in whole.iterdir()} == {"state.pt", "log.jsonl", "weights.safetensors", "strips"}
    model = load(whole / "weights.safetensors")
    assert model.size == 32 and model.config.sampling.spacing == "2"
    assert torch.allclose(model.network.out[2].weight, state(whole)["ema"]["network.out.2.weight"], atol=1e-3)
    log = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 2, 3]
    assert {"network/diffusion", "network/gradient_norm"} <= set(log[0])
    assert {"seen/own_db", "test/own_db", "test/hears_db"} <= set(log[2])
    strip = cv2.imread(str(whole / "strips" / "0000002.png"))
    assert strip.shape == (32, 4 * 32, 3)


def instead_of_running(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Training ends before it begins; the table gets the weights that it would have begun with."""
    begun: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(Trainer, "run", lambda self: begun.update(self.module.state_dict()))
    return begun


def test_an_expert_is_trained_and_lends_its_hearing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*EXPERT, *SHORT, "train.batch=8", "train.steps=2"]
    train("sync", data, tmp_path / "sync", overrides=settings, device="cpu")
    expert = tmp_path / "sync" / "weights.safetensors"
    log = (tmp_path / "sync" / "log.jsonl").read_text()
    assert "test/against_one" in log and "expert/find_face" in log

    begun = instead_of_running(monkeypatch)
    settings = [*MODEL, *SHORT, "train.steps=1"]
    train("diff2lip-small", data, tmp_path / "run", expert=expert, overrides=settings, device="cpu")
    for name, value in load(expert).audio_encoder.state_dict().items():
        assert torch.equal(begun[f"network.audio_encoder.{name}"], value)
    with pytest.raises(BadInput, match=r"--expert .*no use for"):
        train("sync", data, tmp_path / "x", expert=expert, overrides=[*EXPERT, *SHORT], device="cpu")
    with pytest.raises(BadInput, match=r"--expert .*: lacks"):
        train("diff2lip-small", data, tmp_path / "x", expert=expert, device="cpu",
              overrides=[*settings, "model.sound.res_blocks=2"])  # fmt: skip
    with pytest.raises(BadInput, match=r"--init .*: is a SyncExpert; use a checkpoint of the same system"):
        train("diff2lip-small", data, tmp_path / "x", init=expert, overrides=settings, device="cpu")


def test_a_run_starts_from_a_checkpoint(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [*EXPERT, *SHORT, "train.batch=8", "train.steps=1"]
    train("sync", data, tmp_path / "first", overrides=settings, device="cpu")
    first = tmp_path / "first" / "weights.safetensors"
    begun = instead_of_running(monkeypatch)
    train("sync", data, tmp_path / "second", init=first, overrides=settings, device="cpu")
    assert all(torch.equal(value, begun[name]) for name, value in load(first).state_dict().items())


def test_without_held_out_clips_it_says_so_once(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("test", "seen"):
        (data / split).rename(tmp_path / split)
    settings = [*EXPERT, *SHORT, "train.batch=8", "train.steps=1"]
    with caplog.at_level(logging.WARNING):
        train("sync", data, tmp_path / "run", device="cpu", overrides=settings)
    (record,) = caplog.records
    assert record.getMessage() == f"no held-out clips in {data} (seen, test): training without measurements"
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 1


def test_settings_that_only_fit_together_may_come_in_any_order() -> None:
    kind, run = preset("sync")
    assert kind == "sync" and run.train.warmup + run.train.cooldown > 100
    from systems.training import _overridden

    short = _overridden(run, ["train.steps=100", "train.warmup=10", "train.cooldown=20", "data.frames=5"])
    assert (short.train.steps, short.train.warmup, short.train.cooldown) == (100, 10, 20)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["steps=3"], "--set steps=3: begin with model., train. or data."),
        (["train.stesp=3"], "unknown key 'stesp'"),
        (["train.steps=many"], "'many' is not of type int"),
        (["train.steps=0"], "at least 1"),
        (["model.unet.image_size=33"], "does not halve"),
        (["model.unet.head_channels=100"], "does not divide into heads"),
        ([], "is 32 px, the network takes 128; prepare the clips with --size 128"),
        ([*MODEL, "train.batch=3", "data.per_clip=2"], "a batch of 3 does not divide into 2"),
        ([*MODEL, "data.frames=12"], "no clip has more than 12 frames"),
        ([*MODEL, "data.frames=11"], "no held-out clip has more than 13 frames"),
    ],
)
def test_what_cannot_be_is_one_sentence(data: Path, tmp_path: Path, settings: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        train("diff2lip-small", data, tmp_path / "run", overrides=settings, device="cpu")
    assert not (tmp_path / "run").exists()


def test_the_program_answers_with_a_sentence_and_an_exit_code(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train.py", "--output", str(tmp_path / "run"), "--device", "cpu", *arguments])
        return program.main()

    assert run("--data", str(data), "--system", "lipfix") == 2
    assert run("--data", str(tmp_path / "gone"), "--system", "sync") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "--system lipfix: unknown; choose from" in lines[0] and "no prepared clips" in lines[1]
