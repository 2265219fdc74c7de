"""Latents of a face: local, of unit deviation, learnt; and the autoencoders of others, read strictly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from dataset import save_clip, stack, window
from systems.autoencoder import Autoencoder, AutoencoderConfig
from systems.registry import load_autoencoder
from systems.training import train
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_style import SHORT, same_state
from tests.helpers.toy import talking

TINY = AutoencoderConfig(size=32, width=32, encoder=1, decoder=1, latents=4)
MODEL = ["model.size=32", "model.width=16", "model.latents=4", "model.encoder=1", "model.decoder=1"]


def faces(count: int = 4) -> Tensor:
    batch = stack([window(talking(n), 3, 1, 10) for n in range(count)])
    return batch.faces.flatten(0, 1)


def test_shapes() -> None:
    model = Autoencoder(TINY).eval()
    latents = model.encode(faces())
    assert latents.shape == (4, *model.shape) == (4, 4, 8, 8) and model.decode(latents).shape == (4, 3, 32, 32)


@seeded()
def test_what_is_visible_has_the_same_latents_in_a_masked_face() -> None:
    """But for the rows that the convolutions reach into from the mask."""
    model = Autoencoder(TINY).eval()
    hidden = faces()
    hidden[..., 16:, :] = 0
    whole, masked = model.encode(faces()), model.encode(hidden)
    reach = 2 + 2 * TINY.encoder
    assert torch.allclose(whole[..., : 4 - reach, :], masked[..., : 4 - reach, :], atol=1e-5)


@seeded()
def test_latents_have_unit_deviation() -> None:
    model = Autoencoder(TINY)
    latents = model.encode(faces(8))
    assert torch.allclose(latents.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(latents.std(dim=(0, 2, 3)), torch.ones(4), atol=0.05)


@pytest.mark.slow
@seeded()
def test_faces_are_learnt_and_every_parameter_has_a_part() -> None:
    model, batch = Autoencoder(TINY), stack([window(talking(n), 3, 1, 10) for n in range(4)])
    optimizer = torch.optim.AdamW(model.objectives()["autoencoder"], lr=3e-3)
    found = []
    for step in range(60):
        optimizer.zero_grad()
        terms = model.losses(batch, Generator().manual_seed(step))["autoencoder"]
        found.append(float(terms["absolute"].detach()))
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert found[-1] < found[0] / 4
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("changes", [{"patch": 5}, {"latents": 0}, {"noise": -1.0}])
def test_an_impossible_config_is_refused(changes: dict[str, object]) -> None:
    with fails(ValueError, *changes):
        replace(TINY, **changes)  # type: ignore[arg-type]


def test_it_trains_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, (split, speaker) in enumerate([("train", "ann"), ("train", "bob"), ("test", "eve")]):
        save_clip(data / split / speaker / f"{number}.npz", talking(number, frames=12))
    for folder, steps in (("whole", 4), ("parts", 2), ("parts", 4)):
        train("autoencoder", data, tmp_path / folder, device="cpu",
              settings=[*SHORT, *MODEL, f"train.steps={steps}"])  # fmt: skip
    assert same_state(tmp_path / "whole", tmp_path / "parts")
    log = (tmp_path / "whole" / "log.jsonl").read_text()
    assert "test/psnr_db" in log and "test/latent_deviation" in log
    assert load_autoencoder(tmp_path / "whole" / "weights.safetensors").config.width == 16
    assert list((tmp_path / "whole" / "strips").glob("*.png"))
