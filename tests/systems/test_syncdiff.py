"""SyncDiff sees what it may see and nothing else; its pose passes a bottleneck, and its frames are made in order."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from dataset import ClipBatch, FilterBankWindows, stack, window
from guided_diffusion.engine.config import from_dict, to_dict
from guided_diffusion.samplers import SampleConfig
from scripts.formula import fill
from systems import validation
from systems.syncdiff import PoseConfig, SyncDiff, SyncDiffConfig, SyncDiffNetwork
from systems.syncdiff.pose_bottleneck import PoseBottleneck
from systems.system import AutoregressiveState, FaceSampler
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_syncdiff import MEL, PAPER, heard

STEADY = replace(PAPER, unet=MEL.unet, diffusion=MEL.diffusion)  # an x0 made from eps multiplies errors of rounding
BOTH = pytest.mark.parametrize("config", [PAPER, MEL], ids=["avhubert", "mel"])
HIDDEN = slice(16, None)
FEW = SampleConfig("dpm++", "2")


def posed(config: SyncDiffConfig, kind: str) -> SyncDiffConfig:
    return replace(config, pose=replace(config.pose, kind=kind))  # type: ignore[arg-type]


def filled(config: SyncDiffConfig) -> SyncDiff:
    model = SyncDiff(SyncDiffNetwork(config))
    fill(model.network)
    return model.eval().requires_grad_(False)


def clips(config: SyncDiffConfig, frames: int = 3, number: int = 2) -> ClipBatch:
    needs = SyncDiff(SyncDiffNetwork(config)).needs
    return stack([window(heard(n), 3, frames, 10, needs) for n in range(number)])


def noise(count: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=Generator().manual_seed(seed))


def output(model: SyncDiff, batch: ClipBatch) -> Tensor:
    return model.denoise(noise(), torch.full((6,), 500), model.conditions(batch, noise(6, 1)))


@BOTH
def test_the_config_goes_through_a_checkpoint(config: SyncDiffConfig) -> None:
    assert from_dict(SyncDiffConfig, to_dict(config)) == config


@BOTH
def test_the_denoiser_never_sees_the_hidden_half_of_its_own_frame(config: SyncDiffConfig) -> None:
    model = filled(posed(config, "none"))
    batch = clips(config)
    faces = batch.faces.clone()
    faces[..., HIDDEN, :] = 0.7
    assert torch.equal(output(model, batch), output(model, replace(batch, faces=faces)))


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("kind", ["none", "bottleneck", "full"])
def test_everything_that_it_may_see_matters(config: SyncDiffConfig, kind: str) -> None:
    model, batch = filled(posed(config, kind)), clips(config)
    assert batch.before is not None
    plain = output(model, batch)
    upper = batch.faces.clone()
    upper[..., :16, :] = 0.3
    changes = {
        "face": replace(batch, faces=upper),
        "identity": replace(batch, reference=batch.reference * 0.5),
        "sound": replace(batch, audio={name: value * -0.5 for name, value in batch.audio.items()}),
    }
    for name, changed in changes.items():
        assert (output(model, changed) - plain).abs().amax(dim=(1, 2, 3)).min() > 1e-5, name
    other = output(model, replace(batch, before=batch.before * -0.5))
    apart = (other - plain).abs().amax(dim=(1, 2, 3)) > 1e-5
    assert apart.tolist() == [kind != "none", False, False] * 2  # only the first frame of each comes after `before`


@pytest.mark.parametrize("width", [1, 4, 24])
@seeded()
def test_a_bottleneck_lets_so_many_numbers_pass_and_no_more(width: int) -> None:
    bottleneck = PoseBottleneck(PoseConfig(width=width, widths=(32, 32)), 128)
    torch.nn.init.normal_(bottleneck.head[1].weight)
    poses = noise(5)[:, None]
    numbers = bottleneck.numbers(poses[:, 0])
    assert numbers.shape == (5, width) and bottleneck(poses).shape == (5, 128)
    style = torch.autograd.functional.jacobian(lambda x: bottleneck(x)[0], poses[:1])
    assert int(torch.linalg.matrix_rank(style.flatten(1), rtol=1e-4)) == width  # whatever the pose does, so many ways


def test_the_pose_is_the_frame_before() -> None:
    model, batch = SyncDiff(SyncDiffNetwork(PAPER)), clips(PAPER)
    assert batch.before is not None
    poses = model.poses(batch)[:, :, 0]
    assert torch.equal(poses[:, :1], batch.before) and torch.equal(poses[:, 1:], batch.faces[:, :-1])
    alone = model.poses(replace(batch, before=None))[:, :, 0]
    assert torch.equal(alone[:, 0, :, :16], batch.faces[:, 0, :, :16]) and (alone[:, 0, :, HIDDEN] == 0).all()


@pytest.mark.slow
def test_a_history_is_the_frames_before_in_their_order() -> None:
    config = replace(MEL, pose=replace(MEL.pose, history=3))
    model, batch = filled(config), clips(config)
    assert model.needs.before == 3 and batch.before is not None
    past = torch.cat([batch.before, batch.faces], dim=1)
    assert torch.equal(model.poses(batch)[:, 1], past[:, 1:4])
    short = model.poses(replace(batch, before=batch.before[:, 1:]))
    assert torch.equal(short[:, 0], batch.before[:, [1, 1, 2]])

    plain = output(model, batch)
    for k in range(3):  # each of them matters
        before = batch.before.clone()
        before[:, k] *= -0.5
        assert (output(model, replace(batch, before=before)) - plain)[0].abs().max() > 1e-6, k
    speaker = FaceSampler(model, FEW)
    parts, state = [], AutoregressiveState(3, batch.before)
    for k in range(3):  # made one by one, they are what is made in one go
        parts.append(speaker(batch.frame(k, state.before)))
        state.advance(parts[-1])
    assert torch.equal(torch.cat(parts, dim=1), speaker(batch))
    with fails(ValueError, "history", "bottleneck"):
        PoseConfig("full", history=2)


@BOTH
def test_what_was_visible_comes_back_bit_for_bit(config: SyncDiffConfig) -> None:
    model, batch = SyncDiff(SyncDiffNetwork(config)), clips(config)
    made = noise().clamp(-1, 1)
    finished = model.finish(made, model.conditions(batch, noise()))
    assert torch.equal(finished[..., :16, :], batch.faces.flatten(0, 1)[..., :16, :])
    assert torch.equal(finished[..., HIDDEN, :], made[..., HIDDEN, :])


@pytest.mark.slow
@BOTH
def test_same_seed_same_faces(config: SyncDiffConfig) -> None:
    faces = FaceSampler(filled(config), FEW)(clips(config))
    assert faces.shape == (2, 3, 3, 32, 32) and faces.abs().max() <= 1
    assert torch.equal(faces, FaceSampler(filled(config), FEW)(clips(config)))
    assert not torch.equal(faces, FaceSampler(filled(config), FEW, seed=8)(clips(config)))


@pytest.mark.slow
@BOTH
def test_frames_are_made_after_the_one_that_was_made(config: SyncDiffConfig) -> None:
    """Not after the real one: what the truth shows in the hidden half is of no consequence."""
    speaker, batch = FaceSampler(filled(config), FEW), clips(config)
    faces = batch.faces.clone()
    faces[..., HIDDEN, :] = -0.9
    assert torch.equal(speaker(batch), speaker(replace(batch, faces=faces)))
    whole = speaker(batch)
    parts, before = [], batch.before
    for k in range(3):
        parts.append(speaker(batch.frame(k, before)))
        before = parts[-1]
    assert torch.equal(torch.cat(parts, dim=1), whole)
    assert batch.before is not None
    other = speaker(replace(batch, before=-batch.before))
    assert not torch.allclose(other[:, 1:], whole[:, 1:], atol=1e-6)  # it goes on from frame to frame


@pytest.mark.slow
@pytest.mark.parametrize("config", [STEADY, MEL], ids=["avhubert", "mel"])
def test_clips_that_are_made_together_do_not_see_each_other(config: SyncDiffConfig) -> None:
    speaker, batch = FaceSampler(filled(config), FEW), clips(config, number=3)
    whole = speaker(batch)
    for rows in (slice(0, 1), slice(1, 3), slice(2, 3)):
        assert torch.allclose(speaker(batch.rows(rows)), whole[rows], atol=1e-4)


def test_without_a_pose_all_frames_are_made_at_once() -> None:
    config = posed(STEADY, "none")
    model = filled(config)
    assert not model.needs.before and model.needs.audio == (FilterBankWindows(8),)
    batch = clips(config)
    assert batch.before is None
    sampler = FaceSampler(model, FEW)
    assert torch.allclose(sampler(batch)[:, 2:], sampler(batch.frame(2, None)), atol=1e-4)


def test_progress_is_measured_as_for_any_system() -> None:
    model = filled(PAPER)
    batch = validation.held_out_windows([heard(n) for n in range(4)], frames=1, count=4, needs=model.needs)
    assert batch.before is not None and "banks" in batch.audio
    assert validation.audio_gap(model, batch)["audio_gap_db"] != 0
    other = validation.mismatched(batch)
    assert torch.equal(other.audio["banks"], batch.audio["banks"].roll(2, 0))
    assert validation.strip(model, validation.every(batch, 2)).shape == (2 * 32, 4 * 32, 3)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mask_ratio": 0.0}, "mask_ratio"),
        ({"unet": replace(PAPER.unet, in_channels=6)}, "in_channels is 9"),
        ({"unet": replace(PAPER.unet, context_channels=32)}, "context_channels 0"),
        ({"unet": replace(PAPER.unet, out_channels=3)}, "out_channels 6"),
        ({"frozen": 4}, "3 layers"),
        ({"audio_tokens": 9}, "9 tokens"),
    ],
)
def test_an_impossible_config_is_refused(changes: dict[str, object], named: str) -> None:
    with fails(ValueError, named):
        replace(PAPER, **changes)  # type: ignore[arg-type]
    with fails(ValueError, "bottleneck", "number"):
        PoseConfig(width=0)


def test_a_batch_without_what_it_hears_is_refused() -> None:
    batch = clips(PAPER)
    with fails(ValueError, "AV-HuBERT", "8 rows"):
        SyncDiff(SyncDiffNetwork(PAPER)).conditions(replace(batch, audio={}), noise())
