"""Stage 1 by train.py: a reader, then a predictor, each resumed bit for bit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from core.errors import BadValue, Mismatch, NoData, Unreadable
from systems.registry import load
from systems.style import (
    LipMotion,
    PredictingObjective,
    PredictorTraining,
    SequenceData,
    labelled,
    motion_samples,
)
from systems.style.labels import SPACE, LabelledClip
from systems.style.motion import HEARD_WIDTH
from systems.style.motion_progress import predicting
from systems.style.sequences import GAP, SequenceBatch, Sequences
from systems.training import train
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_motion import CONFIG, prepare, space

MODEL = [
    "model.size=32", "model.motion_dim=4", "model.reader.widths=[32,32]", "model.reader.hidden=32",
    "model.predictor.width=32", "model.predictor.heads=2", "model.predictor.reach=2",
    "model.predictor.audio_encoder=mel",
]  # fmt: skip
SHORT = [
    "train.precision=fp32", "train.batch=4", "train.warmup=0", "train.cooldown=0", "train.save_every=100",
    "train.log_every=1", "train.evaluate_every=2",
]  # fmt: skip
DATA = SequenceData(frames=8, least=10, most=20, stretch=8)
SEQUENCES = ["data.frames=8", "data.least=10", "data.most=20", "data.stretch=8"]


@seeded()
def untrained(*, dropout: float = 0.0) -> LipMotion:
    model = LipMotion(CONFIG)
    model.space.load_state_dict(space().state_dict())
    for layer in [*model.predictor.encoder, *model.predictor.decoder]:
        layer.dropout.p = dropout
    return model


def sequences(model: LipMotion, folder: Path, batch: int = 4) -> Sequences:
    """With ears that are quicker than a sound encoder."""
    clips = labelled(prepare(folder), 32, model.space)
    mixing = torch.randn(80 * 16, HEARD_WIDTH, generator=Generator().manual_seed(0))

    def hear(clip: LabelledClip) -> Tensor:
        return torch.from_numpy(clip.sound.mel.windows(0, len(clip), clip.clip.fps)).flatten(1)[None] @ mixing

    return Sequences(clips["train"], hear, DATA, batch=batch, seed=0)


def practised(model: LipMotion, batches: list[SequenceBatch], rate: float = 2e-3) -> PredictorTraining:
    training = PredictorTraining(model, PredictingObjective())
    (parameters,) = training.objectives().values()
    optimizer = torch.optim.AdamW(parameters, lr=rate)
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        terms = training.losses(batch, Generator().manual_seed(step))["predictor"]
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return training


@pytest.mark.slow
def test_one_clip_can_be_learnt_by_heart(tmp_path: Path) -> None:
    model = untrained()
    batch = sequences(model, tmp_path)[0]
    before = predicting(model, batch)
    practised(model, [batch] * 250)
    after = predicting(model, batch)
    assert after["own"] < 0.9 * before["own"] and after["opening_r"] > 0.9


def test_every_parameter_but_the_ears_learns(tmp_path: Path) -> None:
    model = untrained()
    batch = sequences(model, tmp_path, batch=8)[0]
    ears = {name: value.clone() for name, value in model.sound_encoder.state_dict().items()}
    practised(model, [batch] * 3)
    without = [
        name
        for name, parameter in model.predictor.named_parameters()
        if not name.startswith("sound_encoder.") and (parameter.grad is None or not parameter.grad.abs().sum() > 0)
    ]
    assert without == []
    assert all(torch.equal(value, ears[name]) for name, value in model.sound_encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in model.reader.parameters())


def test_a_sequence_is_a_function_of_its_step_and_never_its_own_reference(tmp_path: Path) -> None:
    model = untrained()
    found, again = (sequences(model, tmp_path, batch=6) for _ in range(2))
    for step in range(8):
        one, other = found[step], again[step]
        assert torch.equal(one.heard, other.heard) and torch.equal(one.reference_motion, other.reference_motion)
        assert one.motion.shape == (6, 8, 4) and one.reference_mask.any(dim=1).all()
        lengths = one.reference_mask.sum(dim=1)
        assert lengths.min() >= 10 and lengths.max() <= 20 == found.config.most
    places = [found._reference(0, slice(10, 18), np.random.default_rng(k)) for k in range(30)]
    assert {found.all[number].speaker for parts in places for number, _ in parts} == {found.all[0].speaker}
    own = [part for parts in places for number, part in parts if number == 0]
    assert own and all(part.stop <= 10 - GAP or part.start >= 18 + GAP for part in own)


def test_speakers_with_too_little_are_left_out(tmp_path: Path) -> None:
    model = untrained()
    clips = labelled(prepare(tmp_path, frames=12), 32, model.space)["train"]
    with fails(NoData, "213 frames"):
        motion_samples(model, SequenceData(frames=8, least=200, most=200), clips, 2, 0)
    with fails(ValueError, "sequence", "reference"):
        SequenceData(frames=1)
    with fails(ValueError, "null_style", 2):
        PredictingObjective(null_style=2)


@pytest.mark.slow
def test_stage_1_is_trained_measured_and_resumed(tmp_path: Path) -> None:
    data = prepare(tmp_path / "data")
    ears = tmp_path / "ears"
    expert = ["model.size=32", "model.shrink=1", "model.widths=[32,32]", "model.embedding=16", "train.batch=8"]
    train("sync", data, ears, settings=[*SHORT, *expert, "train.steps=1"], device="cpu")
    for folder, steps in (("whole", 4), ("parts", 2), ("parts", 4)):
        settings = [*MODEL, *SHORT, f"train.steps={steps}"]
        train("motion-reader", data, tmp_path / f"reader-{folder}", settings=settings, device="cpu")
    reader = tmp_path / "reader-whole" / "weights.safetensors"
    for folder, steps in (("whole", 4), ("parts", 2), ("parts", 4)):
        settings = [*MODEL, *SHORT, *SEQUENCES, f"train.steps={steps}"]
        train("motion", data, tmp_path / f"motion-{folder}", init=reader, audio_encoder=ears / "weights.safetensors",
              settings=settings, device="cpu")  # fmt: skip
    for kind in ("reader", "motion"):
        one, other = (load(tmp_path / f"{kind}-{folder}" / "weights.safetensors") for folder in ("whole", "parts"))
        assert isinstance(one, LipMotion)
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    trained, read = (load(tmp_path / name / "weights.safetensors") for name in ("motion-whole", "reader-whole"))
    assert isinstance(trained, LipMotion) and isinstance(read, LipMotion)
    for name in ("reader", "space"):
        kept = getattr(read, name).state_dict()
        assert all(torch.equal(value, kept[key]) for key, value in getattr(trained, name).state_dict().items())
    heard = load(ears / "weights.safetensors").audio_encoder.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(value, heard[key]) for key, value in trained.sound_encoder.state_dict().items())
    log = [json.loads(line) for line in (tmp_path / "motion-whole" / "log.jsonl").read_text().splitlines()]
    assert {"predictor/position", "predictor/velocity", "predictor/opening"} <= set(log[0])
    assert any({"test/own", "seen/nobody", "test/opening_r"} <= set(line) for line in log)
    assert "test/opening_r" in (tmp_path / "reader-whole" / "log.jsonl").read_text()


def test_what_stage_1_lacks_is_one_sentence(tmp_path: Path) -> None:
    data = prepare(tmp_path / "data")
    with fails(Mismatch, "--system motion-reader", "--init", "--audio_encoder"):
        train("motion", data, tmp_path / "run", settings=[*MODEL, *SHORT], device="cpu")
    with fails(BadValue, "--workers 2"):
        train("motion", data, tmp_path / "run", settings=[*MODEL, *SHORT], device="cpu", workers=2)
    (data / SPACE).unlink()
    with fails(Unreadable, "motion_space.npz"):
        train("motion-reader", data, tmp_path / "run", settings=[*MODEL, *SHORT], device="cpu")
    assert not (tmp_path / "run").exists()


def test_lips_that_stay_open_cost_where_real_ones_are_closed(tmp_path: Path) -> None:
    model = untrained()
    batch, gap = sequences(model, tmp_path)[0], model.space.gap
    training = PredictorTraining(model, PredictingObjective(closed=1.0, null_style=0.0))

    def cost(opening: float) -> Tensor:
        """Of what the model predicts where real lips are so far apart."""
        motion = batch.motion + (opening - model.space.opening(batch.motion))[..., None] * gap / gap.square().sum()
        terms = training.losses(replace(batch, motion=motion), Generator().manual_seed(0))
        return terms["predictor"]["closed"]

    assert cost(0.3) == cost(0.03) == 0 < cost(0.0)
    cost(0.0).backward()  # type: ignore[no-untyped-call]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.predictor.parameters())
    assert "closed" not in PredictorTraining(model, PredictingObjective()).losses(batch, Generator())["predictor"]
