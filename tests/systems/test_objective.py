"""Each term of Diff2Lip's objective teaches what it is for, and nothing that it should not touch."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Generator, Tensor

from dataset import ClipBatch, stack, window
from guided_diffusion.engine.distributed import Group
from guided_diffusion.engine.train_config import TrainConfig
from guided_diffusion.engine.train_step import Update
from scripts.formula import fill
from systems.diff2lip import Diff2Lip, Diff2LipConfig
from systems.discriminator import DiscriminatorConfig
from systems.objective import InpainterTraining, LossNetworks, ObjectiveConfig, mouth_weights
from systems.perceptual import Lpips
from systems.sound import SoundConfig
from systems.sync import SyncConfig, SyncExpert
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny import OURS, PAPER
from tests.helpers.toy import talking

pytestmark = pytest.mark.usefixtures("narrow_ears")

PAPER_LOSS = ObjectiveConfig(discriminator=DiscriminatorConfig(widths=(32, 32)))
OUR_LOSS = replace(PAPER_LOSS, x0_scale="plain", mouth_weight=5.0, shared_step=False)
BOTH = pytest.mark.parametrize(("config", "loss"), [(PAPER, PAPER_LOSS), (OURS, OUR_LOSS)], ids=["paper", "ours"])
TERMS = ("diffusion", "variational", "reconstruction", "sync", "perceptual", "adversarial")
HIDDEN = slice(16, None)


def clips() -> ClipBatch:
    return stack([window(talking(n), 3, 5, 10) for n in range(2)])


@seeded(1)
def expert() -> SyncExpert:
    judge = SyncExpert(SyncConfig(size=32, shrink=1, widths=(32, 32), embedding=16, sound=SoundConfig(res_blocks=1)))
    return judge.requires_grad_(False)


@cache
@seeded(2)
def perceptual() -> Lpips:
    """Fixed, and so made once: an AlexNet takes a second to draw."""
    return Lpips(None)


@seeded()
def training(config: Diff2LipConfig, loss: ObjectiveConfig, *, filled: bool = True) -> InpainterTraining:
    model = Diff2Lip(config)
    if filled:
        fill(model.network)
    return InpainterTraining(model, loss, LossNetworks(expert().sync_probability, perceptual()))


def only(loss: ObjectiveConfig, term: str) -> ObjectiveConfig:
    return replace(loss, **{name: float(name == term) for name in TERMS})  # type: ignore[arg-type]


def total(losses: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
    return torch.stack([value for terms in losses.values() for value in terms.values()]).sum()


def seed(number: int = 0) -> Generator:
    return Generator().manual_seed(number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "loss", "term"),
    [(PAPER, PAPER_LOSS, term) for term in TERMS] + [(OURS, OUR_LOSS, term) for term in TERMS if term != "variational"],
)
def test_every_term_alone_teaches_the_network(config: Diff2LipConfig, loss: ObjectiveConfig, term: str) -> None:
    trained = training(config, only(loss, term))
    terms = trained.losses(clips(), seed())["network"]
    assert list(terms) == [term] and terms[term].shape == () and terms[term].isfinite()
    terms[term].backward()  # type: ignore[no-untyped-call]
    parameters = dict(trained.model.named_parameters())
    for name in ("input_blocks.0.0", "audio_encoder.input_block.0", "out.2"):
        gradient = parameters[f"network.{name}.weight"].grad
        assert gradient is not None and gradient.abs().sum() > 0
    rival = trained.discriminator
    assert rival is None or all(p.grad is None for p in rival.parameters())  # the network's terms never reach it


@pytest.mark.slow
@BOTH
def test_a_weight_is_a_factor_of_its_term(config: Diff2LipConfig, loss: ObjectiveConfig) -> None:
    thrice = replace(loss, **{name: 3 * getattr(loss, name) for name in TERMS})
    with torch.no_grad():
        once, more = (training(config, chosen).losses(clips(), seed())["network"] for chosen in (loss, thrice))
    assert set(once) == set(TERMS) - (set() if config.diffusion.learn_variance else {"variational"})
    assert {name: float(value) for name, value in more.items()} == pytest.approx(
        {name: 3 * float(value) for name, value in once.items()}, rel=1e-4
    )


@pytest.mark.slow
@BOTH
def test_every_parameter_of_every_network_learns(config: Diff2LipConfig, loss: ObjectiveConfig) -> None:
    """Branches that start at zero wake one after another: at the fifth step every parameter has a gradient."""
    trained = training(config, loss, filled=False)
    groups = trained.objectives()
    assert set(groups) == {"network", "discriminator"}
    assert {p for group in groups.values() for p in group} == set(trained.parameters())
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-2)
    for step in range(5):
        optimizer.zero_grad()
        total(trained.losses(clips(), seed(step))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert [name for name, p in trained.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.slow
def test_a_fixed_sound_encoder_is_in_no_objective() -> None:
    trained = training(OURS, replace(OUR_LOSS, train_audio_encoder=False))
    heard = set(trained.model.network.audio_encoder.parameters())
    assert heard.isdisjoint(trained.objectives()["network"])
    assert set(trained.model.network.audio_encoder_to_style.parameters()) <= set(trained.objectives()["network"])


@pytest.mark.slow
def test_what_judges_is_no_part_of_the_state() -> None:
    names = set(training(PAPER, PAPER_LOSS).state_dict())
    assert all(name.startswith(("model.", "discriminator.")) for name in names)


@pytest.mark.slow
def test_the_discriminator_learns_to_tell_and_does_not_teach_the_network() -> None:
    trained = training(OURS, only(OUR_LOSS, "adversarial"))
    judged = trained.losses(clips(), seed())["discriminator"]["hinge"]
    judged.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in trained.model.parameters())
    optimizer = torch.optim.Adam(trained.objectives()["discriminator"], lr=4e-3)
    for _ in range(20):
        optimizer.zero_grad()
        now = trained.losses(clips(), seed())["discriminator"]["hinge"]
        now.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert now < 0.5 * judged


LATE = replace(
    only(OUR_LOSS, "adversarial"), matching=1.0, adversarial_from=3,
    discriminator=DiscriminatorConfig(
        widths=(32, 32), normalized="spectral", rows=0.5, learning_rate=2.0, betas=(0, 0.99)
    ),
)  # fmt: skip


@pytest.mark.slow
def test_what_a_late_discriminator_says_counts_late() -> None:
    trained = training(OURS, LATE)
    for step, counts in ((0, False), (2, False), (3, True)):
        trained.begin(step)
        terms = trained.losses(clips(), seed())
        assert set(terms["network"]) == {"adversarial", "matching"} and terms["discriminator"]["hinge"] > 0
        trained.zero_grad()
        total(terms).backward()  # type: ignore[no-untyped-call]
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained.model.parameters()) == counts


@pytest.mark.slow
def test_a_discriminator_of_the_lower_rows_sees_no_others() -> None:
    trained = training(OURS, LATE).eval()
    assert trained.discriminator is not None
    faces = clips().faces
    other = faces.clone()
    other[..., : faces.shape[-2] // 2, :] = 0.3
    assert torch.equal(trained.discriminator(faces)[0], trained.discriminator(other)[0])


@pytest.mark.slow
def test_a_discriminator_is_tuned_by_itself() -> None:
    update = Update(training(OURS, LATE), TrainConfig(learning_rate=1e-3, batch=2), torch.device("cpu"), Group())
    update(iter([clips()]), 0, lambda: False)
    network, judge = (update.optimizers[name].param_groups[0] for name in ("network", "discriminator"))
    assert (network["lr"], judge["lr"]) == (1e-3, 2e-3) and judge["betas"] == (0.0, 0.99) != network["betas"]


@pytest.mark.slow
@BOTH
def test_the_losses_ignore_the_visible_half(
    config: Diff2LipConfig, loss: ObjectiveConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = training(config, loss)
    plain = trained.losses(clips(), seed())["network"]
    denoise, mask = trained.model.denoise, trained.model.mask
    monkeypatch.setattr(trained.model, "denoise", lambda x, t, c: denoise(x, t, c) + 9 * (1 - mask))
    visible = trained.losses(clips(), seed())["network"]
    monkeypatch.setattr(trained.model, "denoise", lambda x, t, c: denoise(x, t, c) + 9 * mask)
    hidden = trained.losses(clips(), seed())["network"]
    assert all(torch.allclose(visible[name], value, rtol=1e-4) for name, value in plain.items())
    assert all(not torch.allclose(hidden[name], value, rtol=1e-3) for name, value in plain.items())


@pytest.mark.slow
@BOTH
def test_losses_are_a_function_of_the_generator(config: Diff2LipConfig, loss: ObjectiveConfig) -> None:
    trained = training(config, loss)
    one, same, other = (trained.losses(clips(), seed(number))["network"] for number in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_the_variational_term_trains_the_variance_alone() -> None:
    trained = training(PAPER, only(PAPER_LOSS, "variational"))
    trained.losses(clips(), seed())["network"]["variational"].backward()  # type: ignore[no-untyped-call]
    gradient = trained.model.network.out[2].weight.grad
    assert gradient is not None and (gradient[:3] == 0).all() and gradient[3:].abs().sum() > 0


@pytest.mark.slow
def test_made_from_eps_an_x0_counts_as_far_as_there_is_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the last timestep, where x0 made from eps is noise, the terms on x0 say next to nothing."""
    trained = training(PAPER, PAPER_LOSS)
    diffusion = trained.model.diffusion
    terms = {}
    for step in (200, len(diffusion) - 1):
        monkeypatch.setattr(diffusion, "draw_steps", lambda count, _, step=step: torch.full((count,), step))
        terms[step] = trained.losses(clips(), seed())["network"]
    for name in ("sync", "perceptual"):
        assert 0 < terms[len(diffusion) - 1][name] < 0.01 * terms[200][name]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_the_frames_of_a_sequence_may_share_their_timestep(shared: bool) -> None:
    trained = training(OURS, replace(OUR_LOSS, shared_step=shared))
    steps = trained._draw_steps(clips(), seed()).view(2, 5)
    assert (steps == steps[:, :1]).all().item() is shared


@pytest.mark.slow
@BOTH
def test_a_perfect_answer_costs_nothing(
    config: Diff2LipConfig, loss: ObjectiveConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, batch = training(config, loss), clips()
    diffusion, x0 = trained.model.diffusion, batch.faces.flatten(0, 1)

    def perfect(x_t: Tensor, t: Tensor, conditions: object) -> Tensor:
        a = diffusion.signal(t, x0)
        true_noise = (x_t - a.sqrt() * x0) / (1 - a).sqrt()
        output = diffusion.target(x0, t, true_noise)
        return torch.cat([output, torch.full_like(output, -1)], 1) if config.diffusion.learn_variance else output

    monkeypatch.setattr(trained.model, "denoise", perfect)
    terms = trained.losses(batch, seed())["network"]
    assert all(float(terms[name]) < 1e-4 for name in ("diffusion", "reconstruction", "perceptual"))


def test_the_mouth_counts_most_where_the_mouth_is() -> None:
    weights = mouth_weights(128, 5.0)[0, 0]
    row, column = divmod(int(weights.argmax()), 128)
    assert (row, column) == (pytest.approx(0.78 * 128, abs=2), pytest.approx(64, abs=2))
    assert weights.max() == pytest.approx(5, abs=0.01) and weights.min() == pytest.approx(1, abs=0.01)
    assert torch.equal(weights, weights.flip(1))
    assert (mouth_weights(32, 1.0) == 1).all()


@pytest.mark.slow
def test_one_clip_is_learnt_by_heart() -> None:
    """The masked error of the one-step prediction falls below a third within 30 small steps."""
    unet = replace(OURS.unet, patch=2, attention_resolutions=())
    config = replace(OURS, unet=unet, diffusion=replace(OURS.diffusion, predict="x0"))
    trained = training(config, replace(OUR_LOSS, sync=0, perceptual=0, adversarial=0), filled=False)
    batch = window(talking(0), 0, 4, 15)

    def reconstruction() -> float:
        with torch.no_grad():
            draws = [trained.losses(batch, seed(1000 + i))["network"]["reconstruction"] for i in range(4)]
        return float(sum(draws)) / 4

    before = reconstruction()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=3e-3)
    for step in range(30):
        optimizer.zero_grad()
        total(trained.losses(batch, seed(step))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert reconstruction() < before / 3


def test_a_term_without_its_judge_is_refused() -> None:
    with fails(ValueError, "expert", "LPIPS"):
        InpainterTraining(Diff2Lip(OURS), OUR_LOSS, LossNetworks())
    with fails(ValueError, "weight"):
        replace(OUR_LOSS, sync=-1)
    with fails(ValueError, "weights 0"):
        only(OUR_LOSS, "none")
