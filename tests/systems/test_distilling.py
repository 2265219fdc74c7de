"""A student begins as its teacher, and learns to make in a step or two what that makes in more."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, nn

from core.errors import BadInput
from dataset import ClipBatch, save_clip, stack, window
from guided_diffusion.engine.checkpoint import save_checkpoint
from guided_diffusion.samplers import SampleConfig
from systems import registry
from systems.components import Components
from systems.diff2lip import Diff2Lip
from systems.objective import InpainterTraining, LossNetworks, ObjectiveConfig
from systems.registry import load
from systems.style import RendererObjective, RendererTraining
from systems.syncdiff.training import SyncDiffObjective, SyncDiffTraining
from systems.system import FaceSampler
from systems.training import train
from tests.helpers.seeded import seeded
from tests.helpers.tiny import OURS, PAPER
from tests.helpers.tiny_style import system
from tests.helpers.tiny_syncdiff import MEL
from tests.helpers.toy import talking

pytestmark = pytest.mark.usefixtures("narrow_ears")

CONFIG = replace(
    OURS, diffusion=replace(OURS.diffusion, predict="x0"), best=SampleConfig("dpm++", "4"),
    unet=replace(OURS.unet, attention_resolutions=(), patch=2),
)  # fmt: skip
LOSS = ObjectiveConfig(
    diffusion=0, variational=0, reconstruction=0, sync=0, perceptual=0, adversarial=0, distill=1.0, x0_scale="plain"
)
SHORT = ["train.precision=fp32", "train.batch=4", "train.warmup=0", "train.evaluate_every=100", "train.log_every=1"]


def shaken(model: nn.Module, seed: int = 0) -> Any:
    """With weights that say something everywhere."""
    with seeded(seed):
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return model.eval()


def clips(count: int = 4) -> ClipBatch:
    generator = torch.Generator().manual_seed(1)
    faces = torch.rand(count, 1, 3, 32, 32, generator=generator) * 2 - 1
    mel = torch.randn(count, 1, 80, 16, generator=generator)
    return ClipBatch(faces, faces.flip(0), {"mel": mel}, mel[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["1", "2"])
@seeded()
def test_a_student_comes_nearer_to_its_teacher(steps: str) -> None:
    teacher = shaken(Diff2Lip(CONFIG)).requires_grad_(False)
    student = Diff2Lip(CONFIG)
    student.load_state_dict(teacher.state_dict())
    training = InpainterTraining(student, replace(LOSS, distill_steps=steps), LossNetworks(teacher=teacher))
    optimizer = torch.optim.Adam(training.objectives()["network"], 4e-3)
    wanted = FaceSampler(teacher, SampleConfig("dpm++", "4"))(clips())

    def apart() -> float:
        made = FaceSampler(student.eval(), SampleConfig("ddim", steps))(clips())
        return float((made - wanted).square().mean())

    before = apart()
    student.train()
    for step in range(26):
        terms = training.losses(clips(), Generator().manual_seed(step))["network"]
        assert terms.keys() == {"distill"}
        optimizer.zero_grad()
        terms["distill"].backward()
        optimizer.step()
    assert apart() < 0.8 * before
    assert "teacher" not in " ".join(training.state_dict())
    assert all(not parameter.requires_grad for parameter in teacher.parameters())


def test_terms_on_the_face_are_on_what_the_student_makes() -> None:
    teacher = shaken(Diff2Lip(CONFIG)).requires_grad_(False)
    seen = []

    def distance(made: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        seen.append(made.shape)
        return (made - truth).square().mean(dim=(1, 2, 3))

    config = replace(LOSS, perceptual=0.5, reconstruction=0.1)
    training = InpainterTraining(shaken(Diff2Lip(CONFIG)), config, LossNetworks(distance=distance, teacher=teacher))
    terms = training.losses(clips(), Generator().manual_seed(0))["network"]
    assert terms.keys() == {"distill", "perceptual", "reconstruction"} and seen == [(4, 3, 32, 32)]


@pytest.mark.slow
def test_a_renderer_is_distilled_in_its_latents() -> None:
    teacher, student = system().requires_grad_(False), system()
    config = RendererObjective(diffusion=0, variational=0, distill=1, motion=0.5, x0_scale="plain", distill_steps="2")
    student.network.requires_grad_(True)
    training = RendererTraining(student, config, LossNetworks(teacher=teacher)).train()
    batch = stack([window(talking(n), 3, 2, [0, 10], teacher.needs) for n in range(2)])
    terms = training.losses(batch, Generator().manual_seed(0))["network"]
    assert terms.keys() == {"distill", "motion"} and terms["distill"].item() > 0
    terms["distill"].backward()
    assert student.network.unet.out[2].weight.grad is not None


def test_syncdiff_and_its_teacher_see_the_same_poses() -> None:
    """A student that is its teacher, asked for the teacher's own step, is right: whatever noise lay on the poses."""
    registered = registry.specifications()["syncdiff"]
    plain = SampleConfig("ddim", "1", clip=False)
    config = replace(MEL, diffusion=replace(MEL.diffusion, predict="x0"), best=plain)
    teacher = registry.assemble("syncdiff", shaken(registered.build(config)), Components()).requires_grad_(False)
    student = registry.assemble("syncdiff", shaken(registered.build(config)), Components())
    student.load_state_dict(teacher.state_dict())
    loss = SyncDiffObjective(diffusion=0, variational=0, distill=1, pose_noise=0.5)
    training = SyncDiffTraining(student, loss, LossNetworks(teacher=teacher))
    batch = stack([window(talking(n), 3, 2, 0, teacher.needs) for n in range(2)])
    terms = training.losses(batch, Generator().manual_seed(0))["network"]
    assert terms["distill"].item() == pytest.approx(0, abs=1e-9)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "prepared"
    for number, (split, speaker) in enumerate([("train", "ann"), ("train", "bob"), ("test", "eve")]):
        save_clip(folder / split / speaker / f"clip{number}.npz", talking(number, frames=12))
    return folder


def saved(path: Path, config: Any) -> Path:
    model = shaken(Diff2Lip(config))
    save_checkpoint(path, registry.describe("diff2lip", model, 7, model.state_dict()))
    return path


@pytest.mark.slow
def test_train_py_distils(data: Path, tmp_path: Path) -> None:
    teacher = saved(tmp_path / "teacher.safetensors", CONFIG)
    settings = [*SHORT, "loss.distill_steps=2", "train.learning_rate=0", "train.save_every=1"]
    for steps in (1, 2):
        train("diff2lip-small", data, tmp_path / "run", distill=teacher, device="cpu",
              settings=[*settings, f"train.steps={steps}"])  # fmt: skip
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2] and {"network/distill", "network/gradient_norm"} <= set(log[0])
    student, origin = load(tmp_path / "run" / "weights.safetensors"), load(teacher)
    assert student.config == replace(origin.config, **dict.fromkeys(
        ("sampling", "fast", "best"), SampleConfig("ddim", "2", origin.sampling.clip)
    ))  # fmt: skip
    there = student.state_dict()
    assert all(torch.allclose(value, there[name], atol=1e-3) for name, value in origin.state_dict().items())


@pytest.mark.slow
def test_what_cannot_be_is_a_sentence(data: Path, tmp_path: Path) -> None:
    paper = saved(tmp_path / "paper.safetensors", PAPER)
    ours = saved(tmp_path / "ours.safetensors", CONFIG)

    def begun(system: str, *settings: str, distill: Path | None = None) -> None:
        train(system, data, tmp_path / "run", distill=distill, device="cpu", settings=[*SHORT, *settings])

    with pytest.raises(BadInput, match="predicts noise"):
        begun("diff2lip-small", distill=paper)
    with pytest.raises(BadInput, match="is a diff2lip"):
        begun("syncdiff-small", distill=ours)
    with pytest.raises(BadInput, match="needs a teacher"):
        begun("diff2lip-small", "loss.distill=1")
    with pytest.raises(BadInput, match="distill_from=ddpm:4"):
        begun("diff2lip-small", "loss.distill_from=ddpm:4", distill=ours)
    with pytest.raises(BadInput, match="does not fit"):
        begun("diff2lip-small", "loss.distill_steps=0", distill=ours)
    assert not (tmp_path / "run" / "weights.safetensors").exists()
