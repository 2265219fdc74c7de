"""Diff2Lip sees what it may see and nothing else, keeps what was given, and learns what it is asked to."""

from dataclasses import replace

import pytest
import torch
from formula import fill
from torch import Generator, Tensor
from toy import talking

from dataset import ClipBatch, stack, window
from guided_diffusion.diffusion import DiffusionConfig
from guided_diffusion.unet import UNetConfig
from systems.diff2lip import Diff2Lip, Diff2LipConfig
from systems.diff2lip.system import mouth_emphasis
from systems.sound import SoundConfig

UNET = UNetConfig(
    image_size=32, channels=32, channel_mult=(1, 2), res_blocks=1, attention_resolutions=(16,), head_channels=32
)
PAPER = Diff2LipConfig(unet=UNET, sound=SoundConfig(res_blocks=1))
OURS = replace(
    PAPER, unet=replace(UNET, out_channels=3, scale_shift_norm=True), fill="zeros", reconstruction_scale="plain",
    diffusion=DiffusionConfig(schedule="cosine", predict="v", learn_variance=False, noisy=0.8),
    mouth_weight=5.0,
)  # fmt: skip
BOTH = pytest.mark.parametrize("config", [PAPER, OURS], ids=["paper", "ours"])
HIDDEN = slice(16, None)
TERMS = ("diffusion", "reconstruction", "variational")


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


def only(config: Diff2LipConfig, term: str) -> Diff2LipConfig:
    return replace(config, **{f"{name}_weight": float(name == term) for name in TERMS})


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
        output(replace(batch, mel=batch.mel + 1), noise(1)),
    ]
    for changed in changes:
        assert (changed - plain).abs().amax(dim=(1, 2, 3)).min() > 1e-4
    assert torch.equal(output(batch, noise(2)), plain) == (config.fill == "zeros")


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
def test_hide_is_the_share_of_rows_hidden(hide: float, first: int) -> None:
    mask = Diff2Lip(replace(PAPER, hide=hide)).mask
    assert mask.shape == (1, 1, 32, 32) and mask[0, 0, :, 0].tolist() == [0.0] * first + [1.0] * (32 - first)


@pytest.mark.parametrize(
    ("config", "term"), [(PAPER, term) for term in TERMS] + [(OURS, "diffusion"), (OURS, "reconstruction")]
)
def test_every_term_alone_teaches_the_network(config: Diff2LipConfig, term: str) -> None:
    model = filled(only(config, term))
    terms = model.losses(clips(), Generator().manual_seed(0))
    assert list(terms) == [term] and terms[term].shape == () and terms[term].isfinite()
    terms[term].backward()  # type: ignore[no-untyped-call]
    parameters = dict(model.named_parameters())
    for name in ("input_blocks.0.0", "audio_encoder.input_block.0", "out.2"):
        gradient = parameters[f"network.{name}.weight"].grad
        assert gradient is not None and gradient.abs().sum() > 0


@BOTH
def test_a_weight_is_a_factor_of_its_term(config: Diff2LipConfig) -> None:
    thrice = replace(config, **{f"{name}_weight": 3 * getattr(config, f"{name}_weight") for name in TERMS})
    with torch.no_grad():
        once, more = (filled(c).losses(clips(), Generator().manual_seed(0)) for c in (config, thrice))
    assert {name: float(value) for name, value in more.items()} == pytest.approx(
        {name: 3 * float(value) for name, value in once.items()}, rel=1e-5
    )


@BOTH
def test_every_parameter_learns(config: Diff2LipConfig) -> None:
    """Branches that start at zero wake one after another: at the fifth step every parameter has a gradient."""
    torch.manual_seed(0)
    model = Diff2Lip(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(5):
        optimizer.zero_grad()
        sum(model.losses(clips(), Generator().manual_seed(step)).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    asleep = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert asleep == []


@BOTH
def test_the_losses_ignore_the_visible_half(config: Diff2LipConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    model = filled(config)
    plain = model.losses(clips(), Generator().manual_seed(0))
    denoise = model.denoise
    monkeypatch.setattr(model, "denoise", lambda x, t, c: denoise(x, t, c) + 9 * (1 - model.mask))
    visible = model.losses(clips(), Generator().manual_seed(0))
    monkeypatch.setattr(model, "denoise", lambda x, t, c: denoise(x, t, c) + 9 * model.mask)
    hidden = model.losses(clips(), Generator().manual_seed(0))
    assert all(torch.equal(visible[name], value) and hidden[name] > value for name, value in plain.items())


@BOTH
def test_losses_are_a_function_of_the_generator(config: Diff2LipConfig) -> None:
    model = filled(config)
    one, same, other = (model.losses(clips(), Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name]) for name in one)


def test_the_variational_term_trains_the_variance_alone() -> None:
    model = filled(only(PAPER, "variational"))
    model.losses(clips(), Generator().manual_seed(0))["variational"].backward()  # type: ignore[no-untyped-call]
    gradient = model.network.out[2].weight.grad
    assert gradient is not None and (gradient[:3] == 0).all() and gradient[3:].abs().sum() > 0


@BOTH
def test_a_perfect_answer_costs_nothing(config: Diff2LipConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = Diff2Lip(config), clips()
    x0 = batch.faces.flatten(0, 1)

    def perfect(x_t: Tensor, t: Tensor, conditions: object) -> Tensor:
        a = model.diffusion.signal(t, x0)
        true_noise = (x_t - a.sqrt() * x0) / (1 - a).sqrt()
        output = model.diffusion.target(x0, t, true_noise)
        return torch.cat([output, torch.full_like(output, -1)], 1) if config.diffusion.learn_variance else output

    monkeypatch.setattr(model, "denoise", perfect)
    terms = model.losses(batch, Generator().manual_seed(0))
    assert float(terms["diffusion"]) < 1e-6 and float(terms["reconstruction"]) < 1e-6


def test_the_mouth_counts_most_where_the_mouth_is() -> None:
    emphasis = mouth_emphasis(128, 5.0)[0, 0]
    row, column = divmod(int(emphasis.argmax()), 128)
    assert (row, column) == (pytest.approx(0.78 * 128, abs=2), pytest.approx(64, abs=2))
    assert emphasis.max() == pytest.approx(5, abs=0.01) and emphasis.min() == pytest.approx(1, abs=0.01)
    assert torch.equal(emphasis, emphasis.flip(1))
    assert (mouth_emphasis(32, 1.0) == 1).all()


def test_one_clip_is_learnt_by_heart() -> None:
    """The masked error of the one-step prediction falls below a third within 30 small steps."""
    torch.manual_seed(0)
    unet = replace(OURS.unet, patch=2, attention_resolutions=())
    model = Diff2Lip(replace(OURS, unet=unet, diffusion=replace(OURS.diffusion, predict="x0")))
    batch = window(talking(0), 0, 4, 15)

    def reconstruction() -> float:
        with torch.no_grad():
            draws = [model.losses(batch, Generator().manual_seed(1000 + i))["reconstruction"] for i in range(4)]
        return float(sum(draws)) / 4

    before = reconstruction()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(30):
        optimizer.zero_grad()
        sum(model.losses(batch, Generator().manual_seed(step)).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    assert reconstruction() < before / 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hide": 0.0}, "hide must lie in"),
        ({"hide": 1.0}, "hide must lie in"),
        ({"unet": replace(UNET, in_channels=6)}, "9 channels in"),
        ({"unet": replace(UNET, out_channels=3)}, "6 out"),
        ({"diffusion": DiffusionConfig(learn_variance=False)}, "3 out"),
    ],
)
def test_an_impossible_config_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(PAPER, **changes)  # type: ignore[arg-type]
