"""A checkpoint is all that is needed to have its model again."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_diff2lip import OURS, PAPER
from test_expert import SMALL

from core.errors import BadInput, BadValue, Mismatch
from guided_diffusion.engine.checkpoint import Checkpoint, save_checkpoint
from guided_diffusion.engine.config import from_dict, to_dict
from scripts.formula import fill
from systems import registry
from systems.registry import build, describe, load, load_system, presets
from tests.helpers.failing import fails

MODELS = pytest.mark.parametrize(("name", "config"), [("diff2lip", PAPER), ("diff2lip", OURS), ("sync", SMALL)])


@pytest.mark.slow
@MODELS
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, name: str, config: object) -> None:
    model = build(name, config)
    fill(model)
    save_checkpoint(tmp_path / "w.safetensors", describe(name, model, 12, model.state_dict()))
    found = load(tmp_path / "w.safetensors")
    assert type(found) is type(model) and found.config == config
    assert not found.training and not any(p.requires_grad for p in found.parameters())
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in found.state_dict().items())


def test_half_precision_weights_are_loaded_in_full(tmp_path: Path) -> None:
    model = build("sync", SMALL)
    save_checkpoint(tmp_path / "w.safetensors", describe("sync", model, 1, model.state_dict()), torch.float16)
    assert {value.dtype for value in load(tmp_path / "w.safetensors").state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("name", presets())
def test_every_preset_builds_and_survives_its_config(name: str) -> None:
    kind, config = presets()[name].kind, presets()[name].model
    assert from_dict(type(config), to_dict(config)) == config
    assert presets()[name].changed([]) == presets()[name]
    with torch.device("meta"):
        assert build(kind, config).size == (256 if name.endswith("-256") else 128)


def test_what_judges_cannot_speak(tmp_path: Path) -> None:
    for name, config in (("sync", SMALL), ("diff2lip", OURS)):
        model = build(name, config)
        save_checkpoint(tmp_path / f"{name}.safetensors", describe(name, model, 1, model.state_dict()))
    assert load_system(tmp_path / "diff2lip.safetensors").config == OURS
    with fails(Mismatch, "sync.safetensors", "SyncExpert"):
        load_system(tmp_path / "sync.safetensors")


@pytest.mark.parametrize(
    ("checkpoint", "kind", "named"),
    [
        (Checkpoint("lipfix", {}, 1, {}), Mismatch, "--model_path"),
        (Checkpoint(None, {}, 0, {"a": torch.zeros(1)}), Mismatch, "--model_path"),
        (Checkpoint("sync", {"sise": 3}, 1, {}), BadValue, "'sise'"),
        (Checkpoint("sync", to_dict(SMALL), 1, {"log_scale": torch.zeros(())}), Mismatch, "audio_encoder."),
    ],
)
def test_what_is_not_known_or_does_not_fit_is_refused(
    tmp_path: Path, checkpoint: Checkpoint, kind: type[BadInput], named: str
) -> None:
    save_checkpoint(tmp_path / "other.safetensors", checkpoint)
    with fails(kind, "other.safetensors", named):
        load(tmp_path / "other.safetensors")


def test_the_weights_of_another_config_do_not_fit(tmp_path: Path) -> None:
    model = build("sync", SMALL)
    wrong = replace(describe("sync", model, 1, model.state_dict()), config=to_dict(replace(SMALL, embedding=8)))
    save_checkpoint(tmp_path / "w.safetensors", wrong)
    with fails(Mismatch, "w.safetensors"):
        load(tmp_path / "w.safetensors")


def test_the_default_checkpoint_is_where_it_ships() -> None:
    assert registry.DEFAULT_CHECKPOINT.parent.name == "checkpoints"
    if registry.DEFAULT_CHECKPOINT.exists():
        assert load_system(registry.DEFAULT_CHECKPOINT).size == 128


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("diff2lip-small.safetensors", "Diff2Lip"),
        ("syncdiff-small.safetensors", "SyncDiff"),
        ("style-small", "StyleSystem"),
        ("style-medium", "StyleSystem"),
    ],
)
def test_what_ships_can_speak(name: str, kind: str) -> None:
    path = registry.DEFAULT_CHECKPOINT.parent / name
    if not path.exists():
        pytest.skip("a copy without this checkpoint")
    found = load_system(path)
    assert type(found).__name__ == kind and found.size == 128
    files = [path] if path.is_file() else list(path.iterdir())
    assert sum(file.stat().st_size for file in files) < 35e6
