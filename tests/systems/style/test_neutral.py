"""Around which mouth a clip's lips move, guessed from one frame; a stage 1 keeps it, older ones have none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from guided_diffusion.engine.checkpoint import save_checkpoint
from systems import registry
from systems.style import LipMotion, LipMotionConfig
from systems.style.neutral import NeutralGuess
from tests.helpers.seeded import seeded

NUMBERS = 3


def people(count: int = 200, clips: int = 4, frames: int = 6) -> dict[str, list[np.ndarray]]:
    """Around 5, -5 and 0: people differ in the first number, clips in the second, frames in the last two."""
    rng = np.random.default_rng(0)
    found = {}
    for person in range(count):
        own = np.array([5, -5, 0]) + rng.normal(size=3) * (2, 0, 0)
        centres = own + rng.normal(size=(clips, 1, 3)) * (0, 1, 0)
        found[f"p{person}"] = list((centres + rng.normal(size=(clips, frames, 3)) * (0, 1, 3)).astype(np.float32))
    return found


def test_what_differs_between_clips_is_believed_and_what_frames_do_is_not() -> None:
    guess = NeutralGuess.fitted(people())
    assert torch.allclose(guess.mean, torch.tensor([5.0, -5, 0]), atol=0.4)
    seen = guess(guess.mean + torch.tensor([2.0, 2, 6])) - guess.mean
    assert torch.allclose(seen, torch.tensor([2.0, 1, 0]), atol=0.4)  # a person's, half of a clip's, none of a frame's


def test_it_is_nearer_than_the_frame_and_than_the_mean() -> None:
    known, others = people(), people(400)
    guess, errors = NeutralGuess.fitted(known), {"guess": 0.0, "frame": 0.0, "mean": 0.0}
    for clips in list(others.values())[200:]:
        for clip in map(torch.from_numpy, clips):
            for name, told in (("guess", guess(clip[0])), ("frame", clip[0]), ("mean", guess.mean)):
                errors[name] += float((told - clip.mean(dim=0)).square().sum())
    assert errors["guess"] < min(errors["frame"], errors["mean"])


@pytest.mark.parametrize("few", [people(1), people(frames=1), {}])
def test_too_little_is_refused(few: dict[str, list[np.ndarray]]) -> None:
    with pytest.raises(ValueError, match="too few"):
        NeutralGuess.fitted(few)


def test_a_stage_1_keeps_it(tmp_path: Path) -> None:
    with seeded():
        model = LipMotion(LipMotionConfig(size=32, motion_dim=NUMBERS, neutral_guess=True)).eval()
    assert model.neutral_guess is not None
    model.neutral_guess.load_state_dict(NeutralGuess.fitted(people()).state_dict())
    save_checkpoint(tmp_path / "motion.safetensors", registry.describe("motion", model, 1, model.state_dict()))
    again = registry.load_motion(tmp_path / "motion.safetensors")
    motion = torch.tensor([[7.0, -4, 2], [1, 2, 3]])
    assert torch.allclose(again.neutral_of(motion), model.neutral_guess(motion))


def test_without_it_a_mouth_keeps_its_shape() -> None:
    with seeded():
        model = LipMotion(LipMotionConfig(size=32, motion_dim=NUMBERS)).eval()
        model.space.basis.normal_()
        motion = torch.randn(NUMBERS)
    neutral = model.neutral_of(motion)
    assert torch.allclose(model.space.opening(neutral), model.space.opening(0 * motion), atol=1e-4)
    assert not torch.allclose(neutral, 0 * motion, atol=0.1)


@pytest.mark.parametrize("folder", ["style-small", "style-medium"])
def test_those_that_ship_know_it(folder: str) -> None:
    model = registry.load_motion(registry.CHECKPOINTS / folder)
    assert isinstance(model, LipMotion) and model.neutral_guess is not None
    assert torch.linalg.eigvals(model.neutral_guess.share).abs().max() <= 1  # nothing is made larger
