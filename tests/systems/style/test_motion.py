"""The predictor moves a mouth as its reference does when that hears alike, for any length of either."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator

from core.errors import Mismatch, NoData
from systems.style import LipMotion, MotionPredictor, PredictingObjective, PredictorTraining, StyleReference
from systems.style import motion as module
from systems.style.sequences import SequenceBatch
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.tiny_motion import CONFIG, NUMBERS, heard, space

WIDE = CONFIG.predictor


@pytest.fixture(scope="module")
@seeded()
def predictor() -> MotionPredictor:
    made = MotionPredictor(WIDE, NUMBERS).eval().requires_grad_(False)
    torch.nn.init.normal_(made.head[1].weight, std=0.5)
    for layer in made.decoder:
        torch.nn.init.normal_(layer.style.value.weight)
        torch.nn.init.normal_(layer.style.key.weight, std=0.3)
    return made


def style(frames: int = 12, seed: int = 5) -> StyleReference:
    motion = torch.randn(frames, NUMBERS, generator=Generator().manual_seed(seed))
    return StyleReference(heard(frames, seed), motion)


def test_any_length_of_sound_and_of_reference(predictor: MotionPredictor) -> None:
    for frames, shown in ((1, 10), (7, 33), (23, 10)):
        motion = predictor.predict(heard(frames), style(shown))
        assert motion.shape == (frames, NUMBERS) and motion.dtype == torch.float32
    assert predictor.predict(heard(3), None).shape == (3, NUMBERS)


def test_windows_make_what_one_piece_makes(predictor: MotionPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    said, shown = heard(23), style()
    whole = predictor.predict(said, shown)
    attention = predictor.attention(said, shown)
    monkeypatch.setattr(module, "WINDOW", 5)
    assert torch.allclose(predictor.predict(said, shown), whole, atol=1e-4)
    assert torch.allclose(predictor.attention(said, shown), attention, atol=1e-5)
    batched = predictor(said[None], shown.heard[None], shown.motion[None], torch.ones(1, 12, dtype=torch.bool))
    assert torch.allclose(batched[0], whole, atol=1e-4)


def test_the_same_call_gives_the_same_numbers(predictor: MotionPredictor) -> None:
    assert torch.equal(predictor.predict(heard(9), style()), predictor.predict(heard(9), style()))


def test_what_is_masked_does_not_matter(predictor: MotionPredictor) -> None:
    said, shown = heard(6)[None], style(20)
    mask = (torch.arange(20) < 12)[None]
    longer = predictor(said, shown.heard[None], shown.motion[None], mask)
    motion = torch.where(mask[..., None], shown.motion[None], torch.full((), 9.0))
    assert torch.allclose(predictor(said, shown.heard[None], motion, mask), longer, atol=1e-5)


def test_the_shape_of_a_mouth_goes_through_and_the_manner_is_learned(predictor: MotionPredictor) -> None:
    said, shown = heard(8), style()
    shift = torch.arange(NUMBERS).float()
    moved = predictor.predict(said, StyleReference(shown.heard, shown.motion + shift))
    plain = predictor.predict(said, shown)
    assert torch.allclose(moved, plain + shift, atol=1e-4)
    elsewhere = predictor.predict(said, shown, neutral=shift)
    assert torch.allclose(elsewhere, plain - shown.neutral + shift, atol=1e-5)
    assert not torch.allclose(predictor.predict(said, style(seed=6), neutral=shown.neutral), plain, atol=1e-2)


def test_strength_goes_from_nobody_to_the_reference(predictor: MotionPredictor) -> None:
    said, shown = heard(8), style()
    full, half, none = (predictor.predict(said, shown, strength) for strength in (1.0, 0.5, 0.0))
    assert torch.allclose(half, (full + none) / 2, atol=1e-5) and not torch.allclose(full, none, atol=1e-2)
    assert torch.allclose(none - shown.neutral, predictor.predict(said, None), atol=1e-5)


def test_audio_strength_widens_the_movement_around_the_neutral_mouth(predictor: MotionPredictor) -> None:
    said, shown, neutral = heard(8), style(), torch.arange(NUMBERS).float()
    still, plain, wide = (predictor.predict(said, shown, 1.0, neutral, by) for by in (0.0, 1.0, 1.5))
    assert torch.equal(still, neutral.expand(8, -1)) and torch.equal(plain, predictor.predict(said, shown, 1, neutral))
    assert torch.allclose(wide - neutral, 1.5 * (plain - neutral), atol=1e-5)


def test_attention_is_a_share_of_each_reference_frame(predictor: MotionPredictor) -> None:
    attention = predictor.attention(heard(8), style())
    assert attention.shape == (8, 12) and (attention >= 0).all()
    assert torch.allclose(attention.sum(dim=1), torch.ones(8), atol=1e-5)


def test_the_time_order_of_motion_against_sound_matters(predictor: MotionPredictor) -> None:
    shown = style()
    shuffled = StyleReference(shown.heard, shown.motion.roll(5, 0))
    assert not torch.allclose(predictor.predict(heard(8), shown), predictor.predict(heard(8), shuffled), atol=1e-3)


@seeded()
def test_a_predictor_that_nobody_trained_says_so() -> None:
    with fails(Mismatch, "motion.safetensors", "--system motion"):
        MotionPredictor(CONFIG.predictor, NUMBERS).predict(heard(3), None)


def test_too_short_a_reference_is_one_sentence() -> None:
    with fails(NoData, "9 frames", 10):
        style(9)
    with fails(ValueError, "heard (12, 1024)", "motion (11, 4)"):
        StyleReference(heard(12), torch.zeros(11, NUMBERS))


@seeded()
def test_a_model_reads_its_own_references() -> None:
    model = LipMotion(CONFIG).eval()
    faces = torch.rand(11, 3, 32, 32, generator=Generator().manual_seed(1)) * 2 - 1
    shown = model.reference(faces, heard(11))
    assert torch.allclose(shown.motion, model.reader(faces), atol=1e-5) and torch.equal(shown.heard, heard(11))
    assert model.size == 32 and model.sound_encoder is model.predictor.sound_encoder


@pytest.mark.parametrize("change", [{"width": 33}, {"layers": 0}, {"dropout": 1.0}, {"reach": -1}])
def test_configs_that_cannot_be_are_refused(change: dict[str, float]) -> None:
    with fails(ValueError, *change):
        replace(WIDE, **change)


@seeded()
def test_a_gain_widens_what_is_predicted_and_is_taught_by_the_range_alone() -> None:
    configs = [replace(CONFIG, predictor=replace(WIDE, gain=gain, dropout=0.0)) for gain in (False, True)]
    plain, widened = (LipMotion(config) for config in configs)
    torch.nn.init.constant_(plain.predictor.head[1].weight, 0.1)
    plain.space.load_state_dict(space().state_dict())
    widened.load_state_dict(plain.state_dict(), strict=False)
    assert widened.predictor.gain is not None
    said, shown, neutral, bias = heard(9), style(), torch.zeros(NUMBERS), widened.predictor.gain[1].bias
    before, same = (made.predictor.predict(said, shown, neutral=neutral) for made in (plain, widened))
    torch.nn.init.constant_(bias, float(np.log(2)))
    assert torch.equal(before, same)
    assert torch.allclose(widened.predictor.predict(said, shown, neutral=neutral), 2 * before, atol=1e-5)

    mask = torch.ones(1, 12, dtype=torch.bool)
    batch = SequenceBatch(said[None], torch.randn(1, 9, NUMBERS), shown.heard[None], shown.motion[None], mask)
    gradients = []
    for loss in (PredictingObjective(range=1.0), PredictingObjective()):
        widened.zero_grad()
        terms = PredictorTraining(widened, loss).losses(batch, Generator().manual_seed(0))["predictor"]
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append((widened.predictor.head[1].weight.grad, bias.grad))
    (head, of_range), (head_without, without) = gradients
    assert torch.equal(head, head_without) and of_range is not None and without is None
