"""Stage 2 learns: every parameter of the renderer and nothing else, one clip by heart; and resumes bit for bit."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from core.errors import BadValue, Mismatch, NotFound
from dataset import ClipBatch, save_clip, stack, window
from systems.objective import LossNetworks
from systems.registry import load_system
from systems.style import RendererObjective, RendererTraining, StyleSystem
from systems.training import train
from tests.helpers.failing import fails
from tests.helpers.tiny_style import CONFIG, SHORT, same_state, save, system
from tests.helpers.toy import talking

ALL = RendererObjective(x0_scale="plain", motion=0.5, restored=0.5)
SMALL = [
    "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1,2]",
    "model.unet.head_channels=32",
    "model.unet.attention_resolutions=[4]", "model.modulation=16", "model.references=2", "model.context_dim=16",
    "model.sampling.spacing=2",
]  # fmt: skip


def training(loss: RendererObjective = ALL, *, random: bool = False) -> RendererTraining:
    return RendererTraining(system(random=random), loss, LossNetworks()).train()


def clips(frames: int = 2) -> ClipBatch:
    needs = system().needs
    return stack([window(talking(n), 3, frames, [0, 10], needs) for n in range(2)])


def total(losses: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
    return torch.stack([value for terms in losses.values() for value in terms.values()]).sum()


@pytest.mark.slow
def test_every_parameter_of_the_renderer_learns_and_no_other() -> None:
    """Branches that start at zero wake one after another: at the sixth step every parameter has a gradient."""
    trained = training()
    learning = trained.objectives()["network"]
    ids = {id(p) for p in learning}
    kept = {name: p.clone() for name, p in trained.named_parameters() if id(p) not in ids}
    assert kept and all(name.startswith(("model.space.", "model.reader.")) for name in kept)
    normal = trained.model.space.normal.running_mean.clone()  # type: ignore[attr-defined]
    optimizer = torch.optim.AdamW(learning, lr=1e-2)
    batch = clips()
    for step in range(6):
        optimizer.zero_grad()
        total(trained.losses(batch, Generator().manual_seed(step))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    own = {name: p for name, p in trained.named_parameters() if name not in kept}
    dead = [name for name, p in own.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead
    assert all(torch.equal(p, kept[name]) for name, p in trained.named_parameters() if name in kept)
    assert torch.equal(normal, trained.model.space.normal.running_mean)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_losses_are_a_function_of_the_generator() -> None:
    one, same, other = (
        training(random=True).losses(clips(), Generator().manual_seed(n))["network"] for n in (0, 0, 1)
    )
    assert set(one) == {"diffusion", "motion", "restored"}
    assert all(torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name]) for name in one)
    assert set(training(RendererObjective()).losses(clips(), Generator())["network"]) == {"diffusion"}


@pytest.mark.slow
def test_one_clip_is_learnt_by_heart() -> None:
    """The masked error of the prediction falls below a third within 60 small steps."""
    trained = training(RendererObjective(x0_scale="plain", shared_step=False))
    batch = window(talking(0), 1, 4, [15, 10], trained.model.needs)

    def error() -> float:
        with torch.no_grad():
            draws = [trained.losses(batch, Generator().manual_seed(1000 + i))["network"]["diffusion"] for i in range(4)]
        return float(sum(draws)) / 4

    before = error()
    optimizer = torch.optim.AdamW(trained.objectives()["network"], lr=3e-3)
    for step in range(60):
        optimizer.zero_grad()
        total(trained.losses(batch, Generator().manual_seed(step))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert error() < before / 3


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, (split, speaker) in enumerate([("train", "ann"), ("train", "bob"), ("test", "eve")]):
        save_clip(tmp_path / "data" / split / speaker / f"{number}.npz", talking(number, frames=12))
    return tmp_path / "data"


@pytest.mark.slow
def test_it_trains_measures_resumes_and_is_a_model_where_it_was_trained(data: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    save(parts)
    for folder, steps in (("whole", 4), ("halves", 2), ("halves", 4)):
        train("style-small", data, tmp_path / folder, components=parts, device="cpu",
              settings=[*SHORT, *SMALL, f"train.steps={steps}"])  # fmt: skip
    assert same_state(tmp_path / "whole", tmp_path / "halves")
    assert "test/audio_gap_db" in (tmp_path / "whole" / "log.jsonl").read_text()
    found = load_system(tmp_path / "whole")
    assert isinstance(found, StyleSystem) and found.config.latents == CONFIG.latents
    assert found.needs.references == 2 and found.config.autoencoder and found.config.motion


def test_what_cannot_be_is_one_sentence(data: Path, tmp_path: Path) -> None:
    def begin(name: str, parts: Path | None, *more: str) -> None:
        train(name, data, tmp_path / "run", components=parts, settings=[*SHORT, *SMALL, *more], device="cpu")

    with fails(BadValue, "motion.safetensors", "--components"):
        begin("style-small", None)
    with fails(NotFound, "motion.safetensors", "train.py --system motion"):
        begin("style-small", tmp_path)
    with fails(Mismatch, "--components"):
        train("diff2lip-small", data, tmp_path / "run", components=tmp_path, settings=SHORT, device="cpu")
    (parts := tmp_path / "parts").mkdir()
    save(parts)
    with fails(Mismatch, "autoencoder.safetensors", 32, 64):
        begin("style-small", parts, "model.unet.image_size=64")
    with fails(ValueError, "weight"):
        replace(ALL, motion=-1.0)
    assert not (tmp_path / "run").exists()
