"""Autoencoders of others: read from a folder, strictly; what is missing or foreign is one sentence."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from core.errors import Mismatch, NotFound, Unreadable
from dataset import to_network
from systems.autoencoder.published import TINY, KlAutoencoder, TinyAutoencoder, _tiny_decoder, _tiny_encoder
from systems.registry import load_autoencoder
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.toy import talking

SHARED = Path(__file__).parents[3] / "shared" / "weights"
DIFFUSERS = importlib.util.find_spec("diffusers") is not None


@pytest.fixture
@seeded()
def tiny(tmp_path: Path) -> Path:
    """TAEF2 with random weights."""
    for name, part in zip(TINY, (_tiny_encoder(), _tiny_decoder()), strict=True):
        torch.save(part.state_dict(), tmp_path / name)
    return tmp_path


def test_a_folder_of_taef2_is_an_autoencoder(tiny: Path) -> None:
    found = load_autoencoder(tiny)
    faces = to_network(talking(0, frames=2).faces)
    latents = found.encode(faces)
    assert isinstance(found, TinyAutoencoder) and found.shape == (32, 16, 16)
    assert latents.shape == (2, 32, 4, 4) and found.decode(latents).shape == faces.shape
    assert not any(p.requires_grad for p in found.parameters())


def test_weights_that_do_not_fit_are_refused(tiny: Path) -> None:
    weights = torch.load(tiny / TINY[1], weights_only=True)
    del weights["1.bias"]
    torch.save(weights, tiny / TINY[1])
    with fails(Mismatch, "taef2_decoder.pth", "1.bias"):
        load_autoencoder(tiny)


def test_an_empty_folder_is_none(tmp_path: Path) -> None:
    with fails(NotFound, tmp_path, "taef2_encoder.pth"):
        load_autoencoder(tmp_path)


@pytest.mark.skipif(DIFFUSERS, reason="diffusers is there")
def test_without_diffusers_its_autoencoder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with fails(NotFound, "pip install diffusers"):
        load_autoencoder(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not DIFFUSERS, reason="needs diffusers")
def test_a_folder_of_diffusers_is_an_autoencoder(tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    down, up = ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2
    AutoencoderKL(block_out_channels=(32, 32), down_block_types=down, up_block_types=up).save_pretrained(tmp_path)
    found = load_autoencoder(tmp_path)
    faces = to_network(talking(0, frames=2).faces)
    assert isinstance(found, KlAutoencoder) and found.shape == (4, 64, 64)
    assert found.encode(faces).shape == (2, 4, 16, 16) and found.decode(found.encode(faces)).shape == faces.shape
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"latent_channels": 3}))
    with fails(Mismatch, "diffusion_pytorch_model.safetensors", "weight"):
        load_autoencoder(tmp_path)
    (tmp_path / "config.json").write_text("[")
    with fails(Unreadable, "config.json"):
        load_autoencoder(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the published weights")
def test_the_published_taef2_restores_a_face() -> None:
    import cv2

    portrait = cv2.imread(str(Path(__file__).parents[2] / "scripts" / "demo" / "portrait.jpg"))[:384, :, ::-1]
    face = to_network(cv2.resize(portrait, (128, 128), interpolation=cv2.INTER_AREA)[None])
    found = load_autoencoder(SHARED)
    latents = found.encode(face)
    restored = found.decode(latents).clamp(-1, 1)
    assert 0.5 < float(latents.std()) < 2
    assert float(10 * torch.log10(4 / ((restored - face) ** 2).mean())) > 25
