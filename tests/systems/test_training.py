"""From a prepared folder to weights, by the command that the README gives; and again, from where it stopped."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

import train as program
from core.errors import BadInput, BadValue, Mismatch, NoData, NotFound
from dataset import save_clip
from guided_diffusion.engine.trainer import Trainer
from systems.registry import find_preset, load
from systems.training import train
from tests.helpers.failing import fails
from tests.helpers.toy import talking

pytestmark = pytest.mark.usefixtures("narrow_ears")

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


@pytest.mark.slow
def test_a_system_is_trained_measured_and_resumed(data: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = [*MODEL, *SHORT]
    train("diff2lip-small", data, whole, settings=[*settings, "train.steps=3"], device="cpu")
    for steps in (2, 3):
        train("diff2lip-small", data, parts, settings=[*settings, f"train.steps={steps}"], device="cpu")
    one, other = (load(folder / "weights.safetensors").state_dict() for folder in (whole, parts))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)

    assert {path.name for path in whole.iterdir()} >= {"state.pt", "log.jsonl", "weights.safetensors", "strips"}
    model = load(whole / "weights.safetensors")
    assert model.size == 32 and model.config.sampling.spacing == "2"
    log = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 2, 3]
    assert {"network/diffusion", "network/gradient_norm"} <= set(log[0])
    assert {"seen/matched_db", "test/matched_db", "test/audio_gap_db"} <= set(log[2])
    strip = cv2.imread(str(whole / "strips" / "0000002.png"))
    assert strip.shape == (32, 4 * 32, 3)


@pytest.mark.slow
def test_the_whole_objective_resumes_bit_for_bit(data: Path, tmp_path: Path) -> None:
    """Two steps, resumed, and two more with a worker are four: both networks of the GAN, their optimisers, averages."""
    train("sync", data, tmp_path / "sync", settings=[*EXPERT, *SHORT, "train.batch=8", "train.steps=1"], device="cpu")
    settings = [
        *MODEL, *SHORT, "train.batch=2", "data.frames=5", "loss.sync=0.1", "loss.adversarial=0.5",
        "loss.reconstruction=1", "loss.discriminator.widths=[32,32]", "loss.train_audio_encoder=true",
    ]  # fmt: skip
    expert = tmp_path / "sync" / "weights.safetensors"
    for folder, steps, workers in (("whole", 4, 0), ("parts", 2, 0), ("parts", 4, 1)):
        train("diff2lip-small", data, tmp_path / folder, expert=expert, device="cpu", workers=workers,
              settings=[*settings, f"train.steps={steps}"])  # fmt: skip
    one, other = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "parts"))
    for part in ("weights", "optimizers", "emas"):
        assert _same(one[part], other[part]), part
    assert any(key.startswith("discriminator.") for key in one["weights"])


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def instead_of_running(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Training ends before it begins; the table gets the weights that it would have begun with."""
    begun: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(Trainer, "run", lambda self: begun.update(self.averaged.state_dict()))
    return begun


@pytest.mark.slow
def test_an_expert_is_trained_and_lends_its_hearing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*EXPERT, *SHORT, "train.batch=8", "train.steps=2"]
    train("sync", data, tmp_path / "sync", settings=settings, device="cpu")
    expert = tmp_path / "sync" / "weights.safetensors"
    log = (tmp_path / "sync" / "log.jsonl").read_text()
    assert "test/against_one" in log and "expert/find_face" in log

    begun = instead_of_running(monkeypatch)
    settings = [*MODEL, *SHORT, "train.steps=1"]
    train("diff2lip-small", data, tmp_path / "run", audio_encoder=expert, settings=settings, device="cpu")
    for name, value in load(expert).audio_encoder.state_dict().items():
        assert torch.equal(begun[f"network.audio_encoder.{name}"], value)
    with fails(Mismatch, "--audio_encoder"):
        train("sync", data, tmp_path / "x", audio_encoder=expert, settings=[*EXPERT, *SHORT], device="cpu")
    with fails(Mismatch, "--audio_encoder", "lacks"):
        train("diff2lip-small", data, tmp_path / "x", audio_encoder=expert, device="cpu",
              settings=[*settings, "model.sound.res_blocks=2"])  # fmt: skip
    with fails(Mismatch, "--init", "SyncExpert"):
        train("diff2lip-small", data, tmp_path / "x", init=expert, settings=settings, device="cpu")


def test_a_run_starts_from_a_checkpoint(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [*EXPERT, *SHORT, "train.batch=8", "train.steps=1"]
    train("sync", data, tmp_path / "first", settings=settings, device="cpu")
    first = tmp_path / "first" / "weights.safetensors"
    begun = instead_of_running(monkeypatch)
    train("sync", data, tmp_path / "second", init=first, settings=settings, device="cpu")
    assert all(torch.equal(value, begun[name]) for name, value in load(first).state_dict().items())


@pytest.mark.slow
def test_another_system_lends_the_part_of_its_network_that_fits(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = [*MODEL, *SHORT, "train.steps=1"]
    train("diff2lip-small", data, tmp_path / "first", settings=settings, device="cpu")
    first = tmp_path / "first" / "weights.safetensors"
    begun = instead_of_running(monkeypatch)
    train("syncdiff-small", data, tmp_path / "second", init=first, settings=settings, device="cpu")
    lent = {name.removeprefix("network."): value for name, value in load(first).state_dict().items()}
    shared = [name for name in lent if "audio_encoder" not in name]
    heard_on_average = lent["audio_encoder_to_style.3.bias"]
    lent["time_embed.2.bias"] = lent["time_embed.2.bias"] + heard_on_average
    assert shared and all(torch.equal(lent[name], begun[f"unet.{name}"]) for name in shared)
    assert f"a Diff2Lip; {len(shared)} of the network's" in caplog.text

    settings.append("model.pose.kind=full")
    train("syncdiff-small", data, tmp_path / "third", init=first, settings=settings, device="cpu")
    stem, known = begun["unet.input_blocks.0.0.weight"], lent["input_blocks.0.0.weight"]
    assert torch.equal(stem[:, : known.shape[1]], known) and not stem[:, known.shape[1] :].any()


@pytest.mark.slow
def test_the_same_system_with_another_config_lends_all_that_fits(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*MODEL, *SHORT, "train.steps=1"]
    train("syncdiff-small", data, tmp_path / "first", settings=settings, device="cpu")
    first = tmp_path / "first" / "weights.safetensors"
    begun = instead_of_running(monkeypatch)
    settings += ["model.pose.width=3", "model.pose.kind=full"]
    train("syncdiff-small", data, tmp_path / "second", init=first, settings=settings, device="cpu")
    lent = {name: value for name, value in load(first).state_dict().items() if not name.startswith("pose.")}
    stem = lent.pop("unet.input_blocks.0.0.weight")
    assert torch.equal(begun["unet.input_blocks.0.0.weight"][:, : stem.shape[1]], stem)
    assert any(name.startswith("hearing.spread") for name in lent)
    assert all(torch.equal(begun[name], value) for name, value in lent.items())


def test_without_held_out_clips_it_says_so_once(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("test", "seen"):
        (data / split).rename(tmp_path / split)
    settings = [*EXPERT, *SHORT, "train.batch=8", "train.steps=1"]
    with caplog.at_level(logging.WARNING):
        train("sync", data, tmp_path / "run", device="cpu", settings=settings)
    (record,) = caplog.records
    assert record.getMessage() == "no held-out clips (seen, test): training without measurements"
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 1


def test_an_objective_without_settings_says_so() -> None:
    with fails(BadValue, "--set loss.perceptual=0"):
        find_preset("autoencoder").changed(["loss.perceptual=0"])


@pytest.mark.slow
def test_a_held_out_split_that_is_too_short_keeps_nobody_from_training(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for clip in (data / "seen").rglob("*.npz"):
        save_clip(clip, talking(0, frames=5))
    settings = [*EXPERT, *SHORT, "train.batch=8", "train.steps=1", "train.evaluate_every=1"]
    with caplog.at_level(logging.WARNING):
        train("sync", data, tmp_path / "run", device="cpu", settings=settings)
    said = [record.getMessage() for record in caplog.records]
    assert sum("seen is not measured" in line for line in said) == 1
    figures = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert any(name.startswith("test/") for name in figures) and not any(name.startswith("seen/") for name in figures)


def test_settings_that_only_fit_together_may_come_in_any_order() -> None:
    chosen = find_preset("sync")
    assert chosen.kind == "sync" and chosen.train.warmup + chosen.train.cooldown > 100
    short = chosen.changed(["train.steps=100", "train.warmup=10", "train.cooldown=20", "data.frames=5"])
    assert (short.train.steps, short.train.warmup, short.train.cooldown) == (100, 10, 20)


@pytest.mark.parametrize(
    ("settings", "kind", "named"),
    [
        ([*MODEL, "loss.sync=0.1", "data.frames=5"], BadValue, "--expert"),
        ([*MODEL, "loss.sync=0.1"], Mismatch, "--set data.frames=5"),
        ([*MODEL, "loss.adversarial=0.1"], Mismatch, "discriminator"),
        ([*MODEL, "loss.perceptual=0.1"], NotFound, "download https"),
        (["steps=3"], BadValue, "--set steps=3"),
        (["train.stesp=3"], BadValue, "'stesp'"),
        (["train.steps=many"], BadValue, "'many'"),
        (["train.steps=0"], BadValue, "steps"),
        (["model.unet.image_size=33"], BadValue, "image_size 33"),
        (["model.unet.head_channels=100"], BadValue, "heads of 100"),
        ([], Mismatch, "--size 128"),
        ([*MODEL, "train.batch=3", "data.per_clip=2"], Mismatch, "batch of 3"),
        ([*MODEL, "data.frames=12"], NoData, "12 frames"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    data: Path, tmp_path: Path, settings: list[str], kind: type[BadInput], named: str
) -> None:
    with fails(kind, named):
        train("diff2lip-small", data, tmp_path / "run", settings=settings, device="cpu")
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
    assert len(lines) == 2 and "--system lipfix: unknown; choose from" in lines[0] and "no such folder" in lines[1]
