"""A judge that knows the truth finds by how many frames sound and picture lie apart."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from audio import Mel
from core.errors import Mismatch
from systems.registry import load, load_expert
from systems.sync import Wav2LipExpert, Wav2LipExpertConfig, find_offset
from tests.helpers.failing import fails
from tests.helpers.knowing import Knowing
from tests.helpers.seeded import seeded

FPS = Fraction(25)
SHARED = Path(__file__).parents[2].parent / "shared"


def footage(late: int, frames: int = 40) -> tuple[np.ndarray, Mel]:
    """Frame k is k bright, and sounds of k come `late` frames after it."""
    faces = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 32, 32, 3))
    columns = np.zeros((int(frames * 3.2) + 64, 80), np.float32)
    columns[:] = ((np.arange(len(columns)) / 3.2 - late) / 20 - 1)[:, None]
    return np.ascontiguousarray(faces), Mel(columns, len(columns) / 80)


@pytest.mark.parametrize("late", range(-5, 6))
def test_the_shift_is_found(late: int) -> None:
    found = find_offset(Knowing(), *footage(late), FPS)
    assert found.frames == late and found.confidence > 0.3
    assert (found.score > 0.995) == (late == 0)


def test_at_another_rate_a_shift_is_still_counted_in_frames() -> None:
    faces, mel = footage(0)
    stretched = Mel(np.repeat(mel.columns, 2, axis=0), 2 * mel.seconds)  # the same at 12.5 frames a second
    assert find_offset(Knowing(), faces, stretched, Fraction(25, 2)).frames == 0


def test_what_a_judge_cannot_look_at_is_refused() -> None:
    faces, mel = footage(0)
    for wrong in (faces[:4], faces[:, :16, :16]):
        with fails(ValueError, "5 frames", "32 px"):
            find_offset(Knowing(), wrong, mel, FPS)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published layout lies in ../shared")
def test_wav2lips_expert_has_the_published_keys_and_shapes() -> None:
    published = json.loads((SHARED / "parity" / "wav2lip_expert_state_dict.json").read_text())
    own = Wav2LipExpert(Wav2LipExpertConfig()).state_dict()
    assert {key: list(value.shape) for key, value in own.items()} == {key: list(s) for key, s in published.items()}


@pytest.mark.slow
@seeded()
def test_wav2lips_expert_is_known_by_its_keys(tmp_path: Path) -> None:
    made = Wav2LipExpert(Wav2LipExpertConfig()).eval()
    torch.save({"state_dict": made.state_dict(), "optimizer": None, "global_step": 1}, tmp_path / "expert.pth")
    found = load_expert(tmp_path / "expert.pth")
    assert isinstance(found, Wav2LipExpert) and not found.training
    random = Generator().manual_seed(1)
    faces = torch.rand(2, 5, 3, 96, 96, generator=random) * 2 - 1
    speech = torch.randn(2, 80, 16, generator=random)
    with torch.no_grad():
        together = found.sync_probability(faces, speech)
        assert torch.equal(together, made.sync_probability(faces, speech)) and ((together >= 0) & (together <= 1)).all()
        upper = faces.clone()
        upper[..., :48, :] = 0
        assert torch.equal(found.sync_probability(upper, speech), together)
        assert not torch.allclose(found.sync_probability(faces.flip(2), speech), together)  # colours have an order


def test_who_speaks_does_not_judge() -> None:
    from systems.registry import SMALL_DIFF2LIP

    assert load(SMALL_DIFF2LIP) is not None
    with fails(Mismatch, "diff2lip-small.safetensors", "train.py --system sync"):
        load_expert(SMALL_DIFF2LIP)
