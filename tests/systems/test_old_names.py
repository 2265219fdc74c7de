"""Settings that were called otherwise once: checkpoints, command lines and running trainings keep the old names."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dataset import save_clip
from guided_diffusion.engine.config import current_names, from_dict, to_dict
from systems.registry import DEFAULT_CHECKPOINT, load_system, presets, specifications
from systems.training import train
from tests.helpers.toy import talking


def nested(config: Any) -> Iterator[Any]:
    """A config and those within it."""
    yield config
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(value := getattr(config, field.name)):
            yield from nested(value)


def old_names(values: Any, config: Any) -> Any:
    """What an older version of the program would have written."""
    if not dataclasses.is_dataclass(config):
        return values
    earlier = {new: old for old, new in getattr(type(config), "RENAMED", {}).items()}
    return {earlier.get(name, name): old_names(value, getattr(config, name)) for name, value in values.items()}


@pytest.mark.parametrize("name", presets())
def test_a_config_is_read_by_its_old_names(name: str) -> None:
    preset = presets()[name]
    for config in (preset.model, preset.loss, preset.data):
        earlier = old_names(to_dict(config), config)
        assert from_dict(type(config), earlier) == config
        for part in nested(config):
            renamed = getattr(type(part), "RENAMED", {})
            assert set(renamed.values()) <= {field.name for field in dataclasses.fields(part)}
            assert not set(renamed) & {field.name for field in dataclasses.fields(part)}


def test_so_are_settings_of_the_command_line() -> None:
    preset = presets()["style-medium"]
    changed = preset.changed(["model.tokens=64", "model.diffusion.noisy=0.5", "loss.mouth=3", "data.bend=0.1"])
    assert (changed.model.context_dim, changed.model.diffusion.high_noise_fraction) == (64, 0.5)
    assert (changed.loss.mouth_weight, changed.data.elastic) == (3.0, 0.1)
    assert current_names(dict, {"sound": 1}) == {"sound": 1}


@pytest.mark.slow
def test_a_training_that_was_begun_by_old_names_goes_on(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    save_clip(data / "train" / "ann" / "clip.npz", talking(0, frames=12))
    small = [
        "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1]", "model.unet.patch=2",
        "model.unet.head_channels=32", "model.unet.attention_resolutions=[]", "train.precision=fp32", "train.batch=2",
        "train.save_every=1", "train.warmup=0", "train.cooldown=0",
    ]  # fmt: skip
    train("diff2lip-small", data, run, device="cpu", settings=[*small, "train.steps=1"])
    state = torch.load(run / "state.pt", weights_only=True)
    config = from_dict(specifications()["diff2lip"].config, state["identity"]["config"])
    state["identity"]["config"] = old_names(state["identity"]["config"], config)
    assert "fill" in state["identity"]["config"]
    for quality in ("sampling", "fast", "best"):  # which the preset may say otherwise by now
        state["identity"]["config"][quality] = {"sampler": "ddim", "spacing": "9", "clip": True}
    torch.save(state, run / "state.pt")
    train("diff2lip-small", data, run, device="cpu", settings=[*small, "train.steps=2"])
    assert torch.load(run / "state.pt", weights_only=True)["step"] == 2
    assert load_system(run / "weights.safetensors").sampling == presets()["diff2lip-small"].model.sampling


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diff2lip-small.safetensors", "syncdiff-small.safetensors", "style-small"])
def test_what_ships_was_written_by_old_names(name: str) -> None:
    path = DEFAULT_CHECKPOINT.with_name(name)
    if not path.exists():
        pytest.skip("a copy without this checkpoint")
    assert 0 < load_system(path).config.mask_ratio < 1
