"""SyncDiff learns: every parameter that may, from every term, from its own frames too, and resumes bit for bit."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_training import SHORT, _same
from torch import Generator, Tensor

from audio.avhubert import AvHubert
from core.errors import Mismatch, NotFound, Unreadable
from dataset import ClipBatch, save_clip, stack, window
from scripts.formula import fill
from systems.avhubert_weights import adopt_avhubert
from systems.components import Components
from systems.objective import LossNetworks
from systems.registry import find_preset, load, load_system, specifications
from systems.syncdiff import (
    SyncDiff,
    SyncDiffConfig,
    SyncDiffNetwork,
    SyncDiffObjective,
    SyncDiffTraining,
)
from systems.training import train
from systems.validation import Validation
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_syncdiff import EARS, MEL, PAPER, heard

pytestmark = pytest.mark.usefixtures("narrow_ears")

BOTH = pytest.mark.parametrize("config", [PAPER, MEL], ids=["avhubert", "mel"])
OWN = SyncDiffObjective(own_output=1.0, own_warmup=1, own_steps="2")
UNET = [
    "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1,2]",
    "model.unet.head_channels=32", "model.unet.res_blocks=1", "model.sampling.spacing=2", "model.pose.width=4",
    "model.pose.widths=[32,32]",
]  # fmt: skip
SMALL = [*UNET, "model.unet.patch=2", "model.unet.attention_resolutions=[]", "loss.own_warmup=1", "train.batch=2"]
BASE = [
    *UNET, "model.avhubert.layers=3", "model.avhubert.width=32", "model.avhubert.heads=2", "model.avhubert.hidden=32",
    "model.avhubert.kernel=8", "model.avhubert.groups=4", "model.frozen=2",
    "model.fbank_frames=8", "model.audio_tokens=3",
    "train.batch=2",
]  # fmt: skip


def seed(number: int = 0) -> Generator:
    return Generator().manual_seed(number)


@seeded()
def training(config: SyncDiffConfig, loss: SyncDiffObjective, *, filled: bool = True) -> SyncDiffTraining:
    model = SyncDiff(SyncDiffNetwork(config))
    if filled:
        fill(model.network).train()
    return SyncDiffTraining(model, loss, LossNetworks())


def clips(config: SyncDiffConfig, frames: int = 2) -> ClipBatch:
    needs = SyncDiff(SyncDiffNetwork(config)).needs
    return stack([window(heard(n), 3, frames, 10, needs) for n in range(2)])


def total(losses: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
    return torch.stack([value for terms in losses.values() for value in terms.values()]).sum()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "kind"), [(PAPER, "none"), (PAPER, "bottleneck"), (PAPER, "full"), (MEL, "bottleneck")]
)
def test_every_parameter_that_may_learns_and_no_other(config: SyncDiffConfig, kind: str) -> None:
    """Branches that start at zero wake one after another: at the sixth step every parameter has a gradient."""
    config = replace(config, pose=replace(config.pose, kind=kind))
    trained = training(config, replace(OWN, reconstruction=1.0), filled=False)
    learning = trained.objectives()["network"]
    ears = trained.model.sound_encoder
    fixed = {name for name, p in trained.named_parameters() if not any(p is other for other in learning)}
    if isinstance(ears, AvHubert):
        path = "model.network.hearing.encoder."
        assert all(name.startswith(path) for name in fixed)
        assert f"{path}encoder.layers.1.fc1.weight" in fixed and f"{path}encoder.layers.2.fc1.weight" not in fixed
    else:
        assert not fixed
    optimizer = torch.optim.AdamW(learning, lr=1e-2)
    before = {name: p.clone() for name, p in trained.named_parameters()}
    batch = clips(config)
    for step in range(6):
        optimizer.zero_grad()
        total(trained.losses(batch, seed(step))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    dead = [name for name, p in trained.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert fixed <= set(dead)
    assert all(name.endswith("k_proj.bias") for name in set(dead) - fixed)  # what all keys share is lost in the softmax
    assert all(torch.equal(p, before[name]) for name, p in trained.named_parameters() if name in fixed)


@BOTH
def test_a_sound_encoder_can_be_kept_whole(config: SyncDiffConfig) -> None:
    trained = training(config, replace(OWN, train_audio_encoder=False))
    assert not any(p.requires_grad for p in trained.model.sound_encoder.parameters())
    assert all(p.requires_grad for p in trained.model.network.hearing.norm.parameters())


@pytest.mark.slow
@BOTH
def test_losses_are_a_function_of_the_generator(config: SyncDiffConfig) -> None:
    one, same, other = (
        training(config, OWN).losses(clips(config), seed(n))["network"]["diffusion"] for n in (0, 0, 1)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_poses_in_training_are_noisy_and_sometimes_hide_the_mouth() -> None:
    batch = clips(MEL)
    poses = SyncDiff(SyncDiffNetwork(MEL)).poses(batch)

    def shown(**changes: float) -> Tensor:
        loss = replace(OWN, own_output=0.0, pose_noise=0.0, pose_hidden=0.0)
        return training(MEL, replace(loss, **changes))._poses(batch, seed())  # type: ignore[arg-type]

    assert torch.equal(shown(), poses)
    assert float((shown(pose_noise=0.2) - poses).std()) == pytest.approx(0.2, rel=0.05)
    hidden = shown(pose_hidden=1.0)[:, :, 0]
    assert torch.equal(hidden[..., :16, :], batch.faces[..., :16, :]) and (hidden[..., 16:, :] == 0).all()


@pytest.mark.slow
def test_own_frames_take_the_place_of_real_ones_more_and_more_often() -> None:
    batch = clips(MEL, frames=3)
    plain = replace(OWN, pose_noise=0.0, pose_hidden=0.0, own_warmup=2)
    trained = training(MEL, replace(plain, own_output=1.0))
    real = trained.model.poses(batch)[:, :, 0]
    trained.begin(1)
    assert trained._own_share() == 1.0
    own = trained._poses(batch, seed(3))[:, :, 0]
    assert torch.equal(own[:, 0], real[:, 0])  # what was before the sequence has no sound to be made from
    assert not torch.equal(own[:, 1:], real[:, 1:]) and torch.equal(own[:, 1:, :, :16], real[:, 1:, :, :16])
    assert not own.requires_grad
    share = training(MEL, replace(plain, own_output=0.5, own_warmup=4))
    shares = []
    for step in range(6):
        share.begin(step)
        shares.append(share._own_share())
    assert shares == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]


@pytest.mark.slow
def test_one_clip_is_learnt_by_heart() -> None:
    """The masked error of the one-step prediction falls below a third within 40 small steps."""
    config = replace(
        MEL, unet=replace(MEL.unet, patch=2, attention_resolutions=()), diffusion=replace(MEL.diffusion, predict="x0")
    )
    trained = training(config, SyncDiffObjective(reconstruction=1.0, x0_scale="plain"), filled=False)
    batch = window(heard(0), 1, 4, 15, trained.model.needs)

    def reconstruction() -> float:
        with torch.no_grad():
            draws = [trained.losses(batch, seed(1000 + i))["network"]["reconstruction"] for i in range(4)]
        return float(sum(draws)) / 4

    before = reconstruction()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=3e-3)
    for step in range(40):
        optimizer.zero_grad()
        total(trained.losses(batch, seed(step))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert reconstruction() < before / 3


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, (split, speaker) in enumerate([("train", "ann"), ("train", "bob"), ("test", "eve")]):
        save_clip(tmp_path / "data" / split / speaker / f"{number}.npz", heard(number, frames=12))
    return tmp_path / "data"


@seeded(3)
def whole() -> dict[str, Tensor]:
    """The weights that are published."""
    return AvHubert(EARS).state_dict()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A file as fairseq writes it: the weights of all paths under `model`, settings beside them."""
    weights = whole() | {
        "mask_emb": torch.zeros(104), "feature_extractor_video.proj.weight": torch.zeros(1),
        "final_proj.bias": torch.ones(2),
    }  # fmt: skip
    path = tmp_path / "base.pt"
    torch.save({"args": None, "cfg": {"task": {"stack_order_audio": 4}}, "model": weights}, path)
    return path


def test_published_weights_are_adopted_whole_or_not_at_all(published: Path, tmp_path: Path) -> None:
    ears = AvHubert(EARS)
    adopt_avhubert(ears, published, "--audio_encoder")
    assert all(torch.equal(value, ears.state_dict()[name]) for name, value in whole().items())
    weights = torch.load(published, weights_only=True)["model"]
    cases = {
        "decoder.weight": weights | {"decoder.weight": torch.zeros(1)},
        "layer_norm.bias": {name: value for name, value in weights.items() if name != "layer_norm.bias"},
        "(3,)": weights | {"layer_norm.bias": torch.zeros(3)},
    }
    for named, wrong in cases.items():
        torch.save({"model": wrong}, tmp_path / "wrong.pt")
        with fails(Mismatch, "--audio_encoder", named):
            adopt_avhubert(ears, tmp_path / "wrong.pt", "--audio_encoder")
    with fails(NotFound, "--audio_encoder", "AV-HuBERT Base"):
        adopt_avhubert(ears, tmp_path / "gone.pt", "--audio_encoder")


class Foreign:
    """What only the program that wrote a file knows."""


def test_a_file_that_would_run_something_is_not_run(tmp_path: Path) -> None:
    torch.save({"model": {}, "task_state": Foreign()}, tmp_path / "base.pt")
    with fails(Unreadable, "--audio_encoder base.pt", "nothing in it was run", "torch.save"):
        adopt_avhubert(AvHubert(EARS), tmp_path / "base.pt", "--audio_encoder base.pt")


@pytest.mark.slow
def test_the_small_preset_trains_and_resumes_bit_for_bit(data: Path, tmp_path: Path) -> None:
    for folder, steps in (("whole", 4), ("parts", 2), ("parts", 4)):
        train("syncdiff-small", data, tmp_path / folder, device="cpu",
              settings=[*SHORT, *SMALL, "loss.train_audio_encoder=true", f"train.steps={steps}"])  # fmt: skip
    one, other = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "parts"))
    for part in ("weights", "optimizers", "emas"):
        assert _same(one[part], other[part]), part
    assert isinstance(load_system(tmp_path / "whole" / "weights.safetensors"), SyncDiff)


@pytest.mark.slow
def test_the_paper_preset_listens_by_avhubert(data: Path, published: Path, tmp_path: Path) -> None:
    settings = [*SHORT, *BASE, "train.steps=2"]
    train("syncdiff-128", data, tmp_path / "run", audio_encoder=published, settings=settings, device="cpu")
    found = load(tmp_path / "run" / "weights.safetensors")
    assert isinstance(found, SyncDiffNetwork)
    for name, value in whole().items():
        if name.startswith(("layer_norm.", "encoder.layers.0.", "encoder.layers.1.")):
            assert torch.allclose(found.hearing.encoder.state_dict()[name], value, atol=1e-3)  # kept as fp16
    assert "test/audio_gap_db" in (tmp_path / "run" / "log.jsonl").read_text()


def test_what_cannot_be_is_one_sentence(data: Path, published: Path, tmp_path: Path) -> None:
    def begin(system: str, settings: list[str], encoder: Path | None = None, where: Path = data) -> None:
        train(system, where, tmp_path / "run", audio_encoder=encoder, settings=[*SHORT, *settings], device="cpu")

    with fails(Mismatch, "--audio_encoder"):
        begin("syncdiff-128", BASE)
    with fails(Mismatch, "--set data.frames=2"):
        begin("syncdiff-small", [*SMALL, "data.frames=1"])
    old = tmp_path / "old"
    save_clip(old / "train" / "ann" / "0.npz", replace(heard(0), banks=None))
    with fails(Mismatch, "old"):
        begin("syncdiff-128", BASE, published, old)
    assert not (tmp_path / "run").exists()


def test_what_measures_lies_on_the_device_whole() -> None:
    chosen = find_preset("syncdiff-small").changed(setting for setting in SMALL if setting.startswith("model."))
    specification = specifications()["syncdiff"]
    own = specification.build(chosen.model)
    evaluate = Validation(specification, own, specification.assemble(own, Components()), {}, 1, torch.device("meta"))
    assert evaluate.model is not evaluate.own
    tensors = [*evaluate.model.parameters(), *evaluate.model.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"meta"} and not any(t.requires_grad for t in tensors)
