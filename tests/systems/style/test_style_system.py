"""Stage 2 sees what it may see and nothing else; its parts lie in one folder and belong together."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from core.errors import Mismatch, NotFound
from dataset import ClipBatch, stack, window
from guided_diffusion.engine.config import from_dict, to_dict
from guided_diffusion.engine.device import store_weights
from systems import validation
from systems.autoencoder import Autoencoder, AutoencoderConfig
from systems.components import Component, fingerprint
from systems.registry import load_expert, load_motion, load_system
from systems.style import Renderer, RendererConfig, StyleSystem
from systems.system import FaceSampler
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_style import CONFIG, parts, save, system
from tests.helpers.toy import talking

HIDDEN = slice(16, None)


@pytest.fixture(scope="module")
def model() -> StyleSystem:
    return system()


def clips(frames: int = 3, number: int = 2) -> ClipBatch:
    needs = system().needs
    found = stack([window(talking(n), 3, frames, [0, 10 + n], needs) for n in range(number)])
    return replace(found, motion=torch.randn(number, frames, needs.motion, generator=Generator().manual_seed(4)))


def noise(count: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(count, *CONFIG.latents, generator=Generator().manual_seed(seed))


def output(model: StyleSystem, batch: ClipBatch) -> Tensor:
    with torch.no_grad():
        return model.denoise(noise(), torch.full((6,), 500), model.conditions(batch, noise(6, 1)))


def test_the_configs_go_through_a_checkpoint() -> None:
    assert from_dict(RendererConfig, to_dict(CONFIG)) == CONFIG
    assert from_dict(AutoencoderConfig, to_dict(AutoencoderConfig())) == AutoencoderConfig()


def test_the_denoiser_never_sees_the_hidden_half_of_its_own_frame(model: StyleSystem) -> None:
    batch = model.with_motion(clips())
    faces = batch.faces.clone()
    faces[..., HIDDEN, :] = 0.7
    assert torch.equal(output(model, batch), output(model, replace(batch, faces=faces)))


def test_everything_that_it_is_told_matters(model: StyleSystem) -> None:
    batch = model.with_motion(clips())
    assert batch.motion is not None and batch.references is not None
    upper = batch.faces.clone()
    upper[..., :16, :] = 0.3
    second = batch.references.clone()
    second[:, :, 1] *= -0.5
    plain = output(model, batch)
    changes = {
        "face": replace(batch, faces=upper),
        "motion": replace(batch, motion=batch.motion + 1),
        "references": replace(batch, references=second),
    }
    for name, changed in changes.items():
        assert (output(model, changed) - plain).abs().amax(dim=(1, 2, 3)).min() > 1e-5, name
    heard = batch.with_audio(mel=torch.ones(*batch.faces.shape[:2], 80, 16))
    assert torch.equal(output(model, heard), plain)  # sound is stage 1's business


def test_motion_is_told_and_never_read_from_what_is_to_be_made(model: StyleSystem) -> None:
    with fails(ValueError, "lips", "batch"):
        output(model, replace(clips(), motion=None))


def test_tokens_of_a_frame_do_not_depend_on_its_neighbours(model: StyleSystem) -> None:
    batch = clips()
    assert batch.references is not None
    references = batch.references.flatten(0, 1)
    whole = model._context(references)
    for k in range(6):
        assert torch.equal(model._context(references[k : k + 1])[0], whole[k])


@pytest.mark.slow
def test_what_was_visible_comes_back_bit_for_bit(model: StyleSystem) -> None:
    batch = clips()
    finished = model.finish(noise(), model.conditions(batch, noise()))
    assert torch.equal(finished[..., :16, :], batch.faces.flatten(0, 1)[..., :16, :])
    assert finished.abs().max() <= 1


def test_same_seed_same_faces(model: StyleSystem) -> None:
    batch = clips()
    faces = FaceSampler(model)(batch)
    assert faces.shape == batch.faces.shape
    assert torch.equal(faces, FaceSampler(model)(batch)) and not torch.equal(faces, FaceSampler(model, seed=8)(batch))


def test_it_speaks_in_half_precision(model: StyleSystem) -> None:
    batch = model.with_motion(clips())
    exact = FaceSampler(model)(batch)
    sampler = FaceSampler(store_weights(system(), torch.bfloat16), precision=torch.bfloat16)
    assert float((sampler(batch) - exact).abs().mean()) < 0.05


def test_progress_is_measured_as_for_any_system(model: StyleSystem) -> None:
    batch = validation.held_out_windows([talking(n) for n in range(4)], frames=1, count=4, needs=model.needs)
    assert batch.references is not None and batch.references.shape[2] == CONFIG.references
    batch = model.with_motion(batch)
    assert validation.audio_gap(model, batch)["audio_gap_db"] != 0  # another one's motion
    assert validation.strip(model, validation.every(batch, 2)).shape == (2 * 32, 4 * 32, 3)


@pytest.mark.slow
def test_a_folder_is_a_model(tmp_path: Path, model: StyleSystem) -> None:
    batch = clips()
    for path in (save(tmp_path), tmp_path / "renderer.safetensors"):
        assert torch.equal(FaceSampler(load_system(path))(batch), FaceSampler(model)(batch))
    assert torch.equal(load_motion(tmp_path).space.basis, parts().motion.model.space.basis)
    shutil.move(tmp_path / "renderer.safetensors", tmp_path / "weights.safetensors")  # as training names it
    assert isinstance(load_system(tmp_path), StyleSystem)


@pytest.mark.parametrize(
    ("gone", "wanted", "preset"),
    [("renderer", "weights", "style-small"), ("autoencoder",) * 3, ("motion",) * 3],
)
def test_a_missing_part_is_named(tmp_path: Path, gone: str, wanted: str, preset: str) -> None:
    save(tmp_path)
    (tmp_path / f"{gone}.safetensors").unlink()
    with fails(NotFound, f"{wanted}.safetensors", f"train.py --system {preset}"):
        load_system(tmp_path)


@pytest.mark.slow
def test_parts_of_another_model_are_refused(tmp_path: Path) -> None:
    found = parts()
    renderer = Renderer(found.fitted(CONFIG))
    with seeded(1):
        stranger = Autoencoder(AutoencoderConfig(size=32, width=16, encoder=1, latents=4))
    other = replace(found, autoencoder=Component(stranger, Path("autoencoder.safetensors")))
    with fails(Mismatch, "autoencoder.safetensors"):
        other.check(renderer.config, "here")
    with fails(Mismatch, "renderer.safetensors"):
        load_expert(save(tmp_path) / "renderer.safetensors")
    with fails(Mismatch, "motion.safetensors"):
        load_system(tmp_path / "motion.safetensors")
    shutil.copy(tmp_path / "motion.safetensors", tmp_path / "autoencoder.safetensors")
    with fails(Mismatch, "autoencoder.safetensors"):
        load_system(tmp_path)


def test_a_fingerprint_is_of_values_as_checkpoints_keep_them() -> None:
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    torch.nn.init.zeros_(one.bias)
    other.load_state_dict({"weight": one.weight.half().float(), "bias": -torch.zeros(2)})  # averaging mixes 0 and -0
    assert fingerprint(one) == fingerprint(other)
    torch.nn.init.ones_(other.bias)
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"latents": (4, 8, 4)}, "latents (4, 8, 4)"),
        ({"mask_ratio": 0.0}, "mask_ratio"),
        ({"mask_ratio": 0.3}, "mask_ratio 0.3"),
        ({"latents": (), "unet": replace(CONFIG.unet, patch=16)}, "2 positions"),
        ({"references": 0}, "references"),
    ],
)
def test_an_impossible_config_is_refused(changes: dict[str, object], named: str) -> None:
    with fails(ValueError, named):
        replace(CONFIG, **changes)  # type: ignore[arg-type]
