"""Pixels or latents are one switch: the folder of parts that a network is trained with."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from core.errors import Mismatch, NotFound
from dataset import ClipBatch, save_clip, stack, window
from guided_diffusion.engine.checkpoint import save_checkpoint
from guided_diffusion.space import Pixels
from systems import registry
from systems.autoencoder import Autoencoder
from systems.components import Component, Components
from systems.inpainting import SpaceInpainter
from systems.objective import LossNetworks
from systems.style import Renderer, RendererObjective, RendererTraining, StyleSystem
from systems.syncdiff import SyncDiff, SyncDiffConfig, SyncDiffNetwork, SyncDiffObjective, SyncDiffTraining
from systems.system import FaceSampler
from systems.training import train
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_style import AUTOENCODER, SHORT, filled, parts, same_state, save
from tests.helpers.tiny_style import CONFIG as RENDERER
from tests.helpers.tiny_syncdiff import MEL, PAPER, heard

SMALL = [
    "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1,2]",
    "model.unet.head_channels=32", "model.unet.attention_resolutions=[4]", "model.sampling.spacing=2",
]  # fmt: skip
SYNCDIFF = [*SMALL, "model.pose.width=4", "model.pose.widths=[32,32]", "loss.own_warmup=1"]
STYLE = [*SMALL, "model.modulation=16", "model.references=2", "model.context_dim=16", "model.concat_references=true"]


@seeded()
def system(name: str) -> SpaceInpainter[object]:
    """With weights that the formula makes: a SyncDiff in latents, one that sees all of its pose, a style system in
    pixels that sees a reference beside."""
    found = parts()
    if name == "style":
        pixels = replace(found, autoencoder=None)
        config = replace(RENDERER, concat_references=True, unet=replace(RENDERER.unet, patch=2))
        renderer = Renderer(pixels.fitted(config))
        return registry.assemble("style", filled(renderer), pixels)
    config = replace(MEL, pose=replace(MEL.pose, kind="full")) if name == "full" else MEL
    latent = Components(found.autoencoder)
    return registry.assemble("syncdiff", filled(SyncDiffNetwork(latent.fitted(config))), latent)


def clips(model: SpaceInpainter[object]) -> ClipBatch:
    shown = [5, 10] if model.needs.references > 1 else 10
    return stack([window(heard(n), 3, 3, shown, model.needs) for n in range(2)])


def with_motion(model: SpaceInpainter[object], batch: ClipBatch) -> ClipBatch:
    return model.with_motion(batch) if isinstance(model, StyleSystem) else batch


def drawn(model: SpaceInpainter[object], seed: int = 0) -> Tensor:
    return torch.randn(6, *model.shape, generator=Generator().manual_seed(seed))


ALL = pytest.mark.parametrize("name", ["bottleneck", "full", "style"])


@ALL
def test_the_denoiser_never_sees_the_hidden_half_of_its_own_frame(name: str) -> None:
    model = system(name)
    batch = with_motion(model, clips(model))
    if batch.before is not None:  # what is hidden of one frame is shown as the pose of the next
        batch = batch.frame(0, None)
    faces = batch.faces.clone()
    faces[..., 16:, :] = 0.7
    step = torch.full((len(faces.flatten(0, 1)),), 500)
    x_t = drawn(model)[: len(step)]
    one, other = (
        model.denoise(x_t, step, model.conditions(replace(batch, faces=f), x_t)) for f in (batch.faces, faces)
    )
    assert torch.equal(one, other)


@ALL
def test_what_was_visible_comes_back_bit_for_bit(name: str) -> None:
    model = system(name)
    batch = with_motion(model, clips(model))
    finished = model.finish(drawn(model), model.conditions(batch, drawn(model)))
    assert torch.equal(finished[..., :16, :], batch.faces.flatten(0, 1)[..., :16, :])
    assert finished.abs().max() <= 1


def test_latents_are_not_clipped_and_pixels_are() -> None:
    latent, pixels = system("bottleneck"), system("style")
    assert latent.shape == (4, 8, 8) and not latent.bounded and isinstance(latent.space, Autoencoder)
    assert not latent.sampling.clip and not any(way.clip for way in latent.qualities.values())
    assert pixels.shape == (3, 32, 32) and pixels.sampling.clip and isinstance(pixels.space, Pixels)


@pytest.mark.slow
def test_all_of_the_network_learns_and_no_autoencoder() -> None:
    model = system("bottleneck")
    model.network.requires_grad_(True)
    objective = SyncDiffObjective(own_output=1.0, own_warmup=1, own_steps="2")
    trained = SyncDiffTraining(model, objective, LossNetworks()).train()
    (terms,) = trained.losses(clips(model), Generator().manual_seed(0)).values()
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in model.network.named_parameters() if p.grad is None] == []
    assert not any(p.requires_grad for p in model.space.parameters()) and not model.space.training


def test_a_style_system_in_pixels_learns() -> None:
    model = system("style")
    model.network.requires_grad_(True)
    objective = RendererObjective(x0_scale="plain", motion=0.5, restored=0.5)
    trained = RendererTraining(model, objective, LossNetworks()).train()
    (terms,) = trained.losses(clips(model), Generator().manual_seed(0)).values()
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert set(terms) == {"diffusion", "motion", "restored"}
    assert [name for name, p in model.network.named_parameters() if p.grad is None] == []


def test_a_learned_variance_stays_behind_in_pixels() -> None:
    assert PAPER.diffusion.learn_variance
    fitted = Components(parts().autoencoder).fitted(PAPER)
    assert fitted.latents == (4, 8, 8) and not fitted.diffusion.learn_variance and fitted.network.out_channels == 4
    assert fitted.network.in_channels == 12 and fitted.autoencoder
    with fails(ValueError, "variance", "model.diffusion.learn_variance=False"):
        replace(PAPER, latents=(4, 8, 8))
    with fails(ValueError, "latents (4, 8, 8)", "(3, 32, 32)"):
        SyncDiff(SyncDiffNetwork(fitted))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, (split, speaker) in enumerate([("train", "ann"), ("train", "bob"), ("test", "eve")]):
        save_clip(tmp_path / "data" / split / speaker / f"{number}.npz", heard(number, frames=12, speaker=speaker))
    return tmp_path / "data"


def with_parts(folder: Path, *names: str) -> Path:
    """A folder of some of the tiny parts."""
    folder.mkdir()
    save(folder)
    for path in folder.iterdir():
        if path.stem not in names:
            path.unlink()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "settings", "has"),
    [("syncdiff-small", SYNCDIFF, ["autoencoder"]), ("style-small", [*STYLE, "model.unet.patch=2"], ["motion"])],
)
def test_it_trains_resumes_and_is_a_model_where_it_was_trained(
    data: Path, tmp_path: Path, preset: str, settings: list[str], has: list[str]
) -> None:
    folder = with_parts(tmp_path / "parts", *has)
    for run, steps in (("whole", 4), ("halves", 2), ("halves", 4)):
        train(preset, data, tmp_path / run, components=folder, device="cpu",
              settings=[*SHORT, *settings, f"train.steps={steps}"])  # fmt: skip
    assert same_state(tmp_path / "whole", tmp_path / "halves")
    found = registry.load_system(tmp_path / "whole")
    assert found.config.latents == ((4, 8, 8) if has == ["autoencoder"] else ())
    batch = with_motion(found, clips(found))  # type: ignore[arg-type]
    assert torch.isfinite(FaceSampler(found)(batch)).all()
    shutil.rmtree(folder)
    assert registry.load_system(tmp_path / "whole" / "weights.safetensors").config == found.config


@pytest.mark.slow
def test_an_autoencoder_that_is_missing_or_another_one_is_one_sentence(data: Path, tmp_path: Path) -> None:
    folder = with_parts(tmp_path / "parts", "autoencoder")
    train("syncdiff-small", data, tmp_path / "run", components=folder, device="cpu",
          settings=[*SHORT, *SYNCDIFF, "train.steps=1"])  # fmt: skip
    own = tmp_path / "run" / "autoencoder.safetensors"
    with seeded(7):
        other = Autoencoder(AUTOENCODER)
    own.unlink()
    with fails(NotFound, "autoencoder.safetensors"):
        registry.load_system(tmp_path / "run")
    save_checkpoint(own, registry.describe("autoencoder", other, 1, other.state_dict()))
    with fails(Mismatch, "autoencoder"):
        registry.load_system(tmp_path / "run")


def test_the_default_is_pixels() -> None:
    assert SyncDiffConfig().latents == () and SyncDiffConfig().network.in_channels == 9


@pytest.mark.slow
def test_a_renderer_in_pixels_may_begin_as_a_diff2lip(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny = [*SHORT, *SMALL, "model.unet.patch=2", "train.steps=1", "train.learning_rate=1e-12"]
    train("diff2lip-small", data, tmp_path / "first", settings=tiny, device="cpu")
    first = tmp_path / "first" / "weights.safetensors"
    train("style-small", data, tmp_path / "second", init=first, components=with_parts(tmp_path / "parts", "motion"),
          settings=[*STYLE, *tiny], device="cpu")  # fmt: skip
    assert "a Diff2Lip; " in caplog.text
    lent = registry.load(first).state_dict()
    own = registry.load(tmp_path / "second" / "weights.safetensors").state_dict()
    convolution = "input_blocks.1.0.in_layers.2.weight"  # modulated now
    assert torch.allclose(own[f"unet.{convolution}"], lent[f"network.{convolution}"], atol=1e-3)


def test_components_are_put_beside_whole_and_never_over_others(tmp_path: Path) -> None:
    folder, run = with_parts(tmp_path / "parts", "motion"), tmp_path / "run"
    own = folder / "motion.safetensors"
    components = Components(motion=Component(registry.load_motion(own), own))
    assert components.put_beside(run / "weights.safetensors") == ["motion.safetensors"]
    assert components.put_beside(run / "weights-0.9.safetensors") == ["motion.safetensors"]
    assert (run / "motion.safetensors").read_bytes() == own.read_bytes()
    for left in (b"", own.read_bytes()[:100]):  # of a copy that was killed, by an older version
        (run / "motion.safetensors").write_bytes(left)
        with fails(Mismatch, "run/motion.safetensors", "move it away"):
            components.check_beside(run)
        assert (run / "motion.safetensors").read_bytes() == left


@pytest.mark.slow
def test_a_model_in_a_blob_store_is_whole(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("guided_diffusion.engine.storage", "systems.training"):
        monkeypatch.setattr(f"{module}.blob_url", lambda place: str(tmp_path / "bucket"))
    train("style-small", data, Path("gs://bucket"), components=with_parts(tmp_path / "parts", "motion"), device="cpu",
          settings=[*SHORT, *STYLE, "model.unet.patch=2", "train.steps=1"])  # fmt: skip
    assert registry.load_system(tmp_path / "bucket").needs.motion
