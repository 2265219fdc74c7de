"""Diff2Lip sees what it may see and nothing else, and keeps what was given."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from dataset import ClipBatch, stack, window
from guided_diffusion.diffusion import DiffusionConfig
from scripts.formula import fill
from systems.diff2lip import Diff2Lip, Diff2LipConfig
from tests.helpers.failing import fails
from tests.helpers.tiny import OURS, PAPER, UNET
from tests.helpers.toy import talking

BOTH = pytest.mark.parametrize("config", [PAPER, OURS], ids=["paper", "ours"])
HIDDEN = slice(16, None)


def clips() -> ClipBatch:
    return stack([window(talking(n), 3, 2, 10) for n in range(2)])


def noise(seed: int = 0) -> Tensor:
    return torch.randn(4, 3, 32, 32, generator=Generator().manual_seed(seed))


def with_hidden(batch: ClipBatch, value: float) -> ClipBatch:
    """The same clips with another lower half."""
    faces = batch.faces.clone()
    faces[..., HIDDEN, :] = value
    return replace(batch, faces=faces)


def filled(config: Diff2LipConfig) -> Diff2Lip:
    model = Diff2Lip(config)
    fill(model.network)
    return model


@BOTH
def test_the_denoiser_never_sees_the_hidden_half_of_the_face(config: Diff2LipConfig) -> None:
    model, x_t, t = filled(config), noise(), torch.tensor([0, 300, 600, 999])
    with torch.no_grad():
        outputs = [model.denoise(x_t, t, model.conditions(with_hidden(clips(), v), noise(1))) for v in (-0.9, 0.7)]
    assert torch.equal(*outputs)


@BOTH
def test_the_denoiser_takes_the_visible_half_from_the_face_not_from_x_t(config: Diff2LipConfig) -> None:
    model, t, conditions = filled(config), torch.full((4,), 500), None
    with torch.no_grad():
        conditions = model.conditions(clips(), noise(1))
        x_t = noise()
        other = x_t.clone()
        other[..., :16, :] = 3.0
        assert torch.equal(model.denoise(x_t, t, conditions), model.denoise(other, t, conditions))


@pytest.mark.slow
@BOTH
def test_everything_that_it_may_see_matters(config: Diff2LipConfig) -> None:
    model, x_t, t, batch = filled(config), noise(), torch.full((4,), 500), clips()

    def output(changed: ClipBatch, filling: Tensor) -> Tensor:
        with torch.no_grad():
            return model.denoise(x_t, t, model.conditions(changed, filling))

    plain = output(batch, noise(1))
    faces = batch.faces.clone()
    faces[..., :16, :] = 0.3
    changes = [
        output(replace(batch, faces=faces), noise(1)),
        output(replace(batch, reference=batch.reference * 0.5), noise(1)),
        output(batch.with_audio(mel=batch.mel + 1), noise(1)),
    ]
    for changed in changes:
        assert (changed - plain).abs().amax(dim=(1, 2, 3)).min() > 1e-4
    assert torch.equal(output(batch, noise(2)), plain) == (config.mask_fill == "zeros")


def test_the_paper_hides_with_noise_and_ours_with_zeros() -> None:
    for config, expected in ((PAPER, noise(1)), (OURS, torch.zeros(4, 3, 32, 32))):
        conditions = Diff2Lip(config).conditions(clips(), noise(1))
        assert torch.equal(conditions.filled[..., HIDDEN, :], expected[..., HIDDEN, :])
        assert torch.equal(conditions.filled[..., :16, :], clips().faces.flatten(0, 1)[..., :16, :])


@BOTH
def test_what_was_visible_comes_back_bit_for_bit(config: Diff2LipConfig) -> None:
    model, batch = Diff2Lip(config), clips()
    finished = model.finish(noise(), model.conditions(batch, noise(1)))
    assert torch.equal(finished[..., :16, :], batch.faces.flatten(0, 1)[..., :16, :])
    assert torch.equal(finished[..., HIDDEN, :], noise()[..., HIDDEN, :])


@pytest.mark.parametrize(("hide", "first"), [(0.5, 16), (0.25, 24), (0.6, 12)])
@pytest.mark.slow
def test_hide_is_the_share_of_rows_hidden(hide: float, first: int) -> None:
    mask = Diff2Lip(replace(PAPER, mask_ratio=hide)).mask
    assert mask.shape == (1, 1, 32, 32) and mask[0, 0, :, 0].tolist() == [0.0] * first + [1.0] * (32 - first)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mask_ratio": 0.0}, "mask_ratio"),
        ({"mask_ratio": 1.0}, "mask_ratio"),
        ({"unet": replace(UNET, in_channels=6)}, "9 channels in"),
        ({"unet": replace(UNET, out_channels=3)}, "6 out"),
        ({"diffusion": DiffusionConfig(learn_variance=False)}, "3 out"),
    ],
)
def test_an_impossible_config_is_refused(changes: dict[str, object], named: str) -> None:
    with fails(ValueError, named):
        replace(PAPER, **changes)  # type: ignore[arg-type]
