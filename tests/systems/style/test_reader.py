"""The reader tells what lips do from a face alone, and learns it in a little while."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from systems.style import FaceData, LipMotion, ReaderTraining, ReadingObjective, labelled, motion_samples
from systems.style.motion_progress import reading
from systems.style.reader import MotionReader, ReaderConfig
from systems.style.sequences import FaceBatch
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_motion import CONFIG, prepare, space


@seeded()
def untrained() -> LipMotion:
    model = LipMotion(CONFIG)
    model.space.load_state_dict(space().state_dict())
    return model


def practised(model: LipMotion, batches: list[FaceBatch], objective: ReadingObjective) -> ReaderTraining:
    training = ReaderTraining(model, objective)
    (parameters,) = training.objectives().values()
    optimizer = torch.optim.AdamW(parameters, lr=2e-3)
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        terms = training.losses(batch, Generator().manual_seed(step))["reader"]
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return training


def test_motion_of_a_face_is_its_own_and_differentiable() -> None:
    model = untrained()
    faces = torch.rand(3, 3, 32, 32, generator=Generator().manual_seed(1)) * 2 - 1
    faces.requires_grad_()
    motion = model.reader(faces)
    assert motion.shape == (3, CONFIG.motion_dim) and motion.dtype == torch.float32
    assert torch.allclose(model.reader(faces[1:2]), motion[1:2], atol=1e-5)
    motion[1].sum().backward()  # type: ignore[no-untyped-call]
    assert faces.grad is not None and faces.grad[1].abs().sum() > 0 and faces.grad[0].abs().sum() == 0
    assert torch.allclose(model.read(faces.detach()), motion.detach(), atol=1e-5)


@pytest.mark.slow
def test_it_learns_to_read_clips_that_it_never_saw(tmp_path: Path) -> None:
    model = untrained()
    clips = labelled(prepare(tmp_path), 32, model.space)
    samples = motion_samples(model, FaceData(), clips["train"], 32, 0)
    unseen = motion_samples(model, FaceData(per_clip=16), clips["test"], 16, 1)[0]
    before = reading(model, unseen)
    practised(model, [samples[step] for step in range(60)], ReadingObjective(zoom=0, shift=0, turn=0))
    after = reading(model, unseen)
    assert after["opening_r"] > max(0.9, before["opening_r"])


@pytest.mark.slow
def test_every_parameter_learns_and_one_batch_can_be_learnt_by_heart(tmp_path: Path) -> None:
    model = untrained()
    clips = labelled(prepare(tmp_path), 32, model.space)
    batch = motion_samples(model, FaceData(), clips["train"], 8, 0)[0]
    objective = ReadingObjective(contrast=0, brightness=0, zoom=0, shift=0, turn=0)

    @torch.no_grad()
    def error(training: ReaderTraining) -> float:
        return float(training.losses(batch, Generator().manual_seed(9))["reader"]["opening"])

    before = error(ReaderTraining(model, objective))
    training = practised(model, [batch] * 60, objective)
    assert error(training) < before / 3
    assert [name for name, p in model.reader.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    assert all(p.grad is None for p in model.predictor.parameters())


def test_varied_faces_keep_their_motion_but_for_the_mirror(tmp_path: Path) -> None:
    model = untrained()
    clips = labelled(prepare(tmp_path), 32, model.space)
    batch = motion_samples(model, FaceData(), clips["train"], 16, 0)[0]
    faces, motion = ReaderTraining(model, ReadingObjective())._varied(batch, Generator().manual_seed(0))
    assert faces.shape == batch.faces.shape and faces.abs().max() <= 1 and not torch.equal(faces, batch.faces)
    same, mirrored = (motion == batch.motion).all(dim=1), (motion == model.space.mirrored(batch.motion)).all(dim=1)
    assert (same | mirrored).all() and not same.all()


def test_faces_are_a_function_of_the_step(tmp_path: Path) -> None:
    model = untrained()
    clips = labelled(prepare(tmp_path), 32, model.space)["train"]
    one, other = (motion_samples(model, FaceData(), clips, 8, 3) for _ in range(2))
    assert torch.equal(one[5].faces, other[5].faces) and torch.equal(one[5].motion, other[5].motion)
    assert not np.array_equal(one[5].faces, one[6].faces)


def test_sizes_that_do_not_halve_are_refused() -> None:
    with fails(ValueError, "size 36", 4):
        MotionReader(ReaderConfig(), 36, 4)
    with fails(ValueError, "widths", 32):
        replace(CONFIG.reader, widths=(24,))
