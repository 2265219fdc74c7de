"""A checkpoint's own config is a stranger's: what it says is checked before anything is built."""

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core.errors import BadInput, BadValue, Mismatch, Unreadable
from guided_diffusion.engine.checkpoint import load_checkpoint, load_state
from guided_diffusion.engine.config import to_dict
from systems import registry
from tests.helpers.failing import fails


def saved(path: Path, system: str, config: str) -> Path:
    save_file({"a": torch.zeros(1)}, path, {"format": "lipsync-1", "system": system, "config": config, "step": "1"})
    return path


CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "wide": ("diff2lip", {"unet.channels": 10**9 // 32 * 32}),
    "wider than any number": ("diff2lip", {"unet.channels": 10**30}),
    "large faces": ("diff2lip", {"unet.image_size": 16 * 10**8}),
    "no levels": ("diff2lip", {"unet.channel_mult": []}),
    "negative levels": ("diff2lip", {"unet.channel_mult": [1, -2]}),
    "zero levels": ("diff2lip", {"unet.channel_mult": [0, 0]}),
    "many blocks": ("diff2lip", {"unet.res_blocks": 10**7}),
    "many blocks of sound": ("diff2lip", {"sound.res_blocks": 10**7}),
    "many steps": ("diff2lip", {"diffusion.steps": 10**9}),
    "no heads": ("diff2lip", {"unet.head_channels": 0}),
    "not a number": ("diff2lip", {"mask_ratio": float("nan")}),
    "no patch": ("diff2lip", {"unet.patch": 0}),
    "no latents": ("style", {"latents": [8]}),
    "many numbers": ("style", {"motion_dim": 10**12}),
    "a deep encoder": ("autoencoder", {"encoder": 10**7}),
    "a wide one": ("autoencoder", {"width": 10**9}),
    "no widths": ("sync", {"widths": []}),
    "nothing shrinks": ("sync", {"shrink": 0}),
    "many layers": ("syncdiff", {"avhubert.layers": 10**8}),
    "large motion": ("motion", {"size": 2**40}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_impossible_sizes_are_refused_at_once(tmp_path: Path, name: str) -> None:
    system, changes = CHANGES[name]
    config = to_dict(registry.specifications()[system].config())
    for key, value in changes.items():
        node = config
        *parents, leaf = key.split(".")
        for parent in parents:
            node = node[parent]
        assert leaf in node
        node[leaf] = value
    path = saved(tmp_path / "a.safetensors", system, json.dumps(config))
    begin = time.process_time()
    with fails((BadInput, BadValue, Mismatch, Unreadable), "a.safetensors"):
        registry.load(path)
    assert time.process_time() - begin < 5  # one on a machine that has nothing else to do


NONE = ("[]", "NaN", "3", '"x"', "null", "[" * 100_000, "{", '{"unet": []}', '{"unet": {"x": 1}}')


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_config_is_refused(tmp_path: Path, text: str) -> None:
    with fails((BadValue, Unreadable), "a.safetensors"):
        registry.load(saved(tmp_path / "a.safetensors", "diff2lip", text))


def test_a_file_that_inflates_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\0" * 10**8)
    for load in (load_checkpoint, lambda path: load_state(path, str(path))):
        begin = time.process_time()
        with fails(Unreadable, "bomb.pt"):
            load(path)
        assert time.process_time() - begin < 2


def test_weights_of_data_parallel_are_known(tmp_path: Path) -> None:
    weights = {"module.a": torch.ones(2), "module.b": torch.zeros(1)}
    torch.save({"state_dict": weights}, tmp_path / "a.pt")
    assert load_checkpoint(tmp_path / "a.pt").weights.keys() == {"a", "b"}
    torch.save(weights | {"c": torch.ones(1)}, tmp_path / "a.pt")
    assert "module.a" in load_checkpoint(tmp_path / "a.pt").weights
