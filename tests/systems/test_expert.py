"""The expert tells a window's own sound from others', by the mouth alone, after a little practice."""

from dataclasses import replace

import pytest
import torch
from torch import Generator

from dataset import ClipBatch, stack, window
from systems.sound import SoundConfig
from systems.sync import SyncConfig, SyncExpert
from systems.sync.specification import retrieval_accuracy
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.toy import talking

pytestmark = pytest.mark.usefixtures("narrow_ears")

SMALL = SyncConfig(size=32, shrink=1, widths=(32, 32), embedding=16, sound=SoundConfig(res_blocks=1))


def batch(first: int, count: int = 4, moments: int = 4) -> ClipBatch:
    """`count` clips, `moments` windows of each."""
    windows = [window(talking(n), 3 * k, 5, 0) for n in range(first, first + count) for k in range(moments)]
    return replace(stack(windows), clip=torch.arange(count).repeat_interleave(moments))


def total(judge: SyncExpert, clips: ClipBatch) -> torch.Tensor:
    return torch.stack(list(judge.losses(clips, Generator())["expert"].values())).sum()


@seeded()
def expert() -> SyncExpert:
    return SyncExpert(SMALL)


def test_it_embeds_both_into_one_space_of_unit_vectors() -> None:
    judge, clips = expert(), batch(0, 3, 1)
    faces, sound = judge.embed_faces(clips.faces), judge.embed_sound(clips.speech)
    assert faces.shape == sound.shape == (3, 16)
    assert torch.allclose(faces.norm(dim=1), torch.ones(3)) and torch.allclose(sound.norm(dim=1), torch.ones(3))
    cosines = (faces * sound).sum(dim=1)
    assert torch.allclose(judge.sync_probability(clips.faces, clips.speech), (cosines + 1) / 2)


def test_it_sees_the_lower_half_alone() -> None:
    judge, clips = expert(), batch(0, 2)
    faces = clips.faces.clone()
    faces[..., :16, :] = 0.5
    assert torch.equal(judge.embed_faces(faces), judge.embed_faces(clips.faces))
    faces[..., 16:, :] *= 0.5
    assert not torch.equal(judge.embed_faces(faces), judge.embed_faces(clips.faces))


def test_faces_of_another_size_are_seen_at_its_own() -> None:
    """So that one expert judges networks of 128 and of 256 px."""
    judge, clips = expert(), batch(0, 2)
    twice = clips.faces.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    cosines = (judge.embed_faces(twice) * judge.embed_faces(clips.faces)).sum(dim=1)
    assert cosines.min() > 0.95


@pytest.mark.slow
def test_untrained_it_guesses() -> None:
    guessed = retrieval_accuracy(expert(), batch(0, 12))
    assert guessed["against_one"] == pytest.approx(0.5, abs=0.15)
    assert guessed["chance"] == pytest.approx(torch.tensor(4.0).log().item())


def test_sounds_of_other_clips_are_no_negatives() -> None:
    judge, clips = expert(), batch(0, 2)
    apart = [replace(batch(n, 1), clip=torch.zeros(4, dtype=torch.int64)) for n in range(2)]
    with torch.no_grad():
        together, alone = total(judge, clips), [total(judge, clip) for clip in apart]
    assert together.item() == pytest.approx(sum(loss.item() for loss in alone) / 2, rel=1e-4)
    with fails(ValueError, "clip"):
        judge.losses(replace(clips, clip=None), Generator())


@pytest.mark.slow
def test_a_little_practice_makes_it_better_on_clips_it_never_saw() -> None:
    judge, unseen = expert(), batch(1000, 12)
    before = retrieval_accuracy(judge, unseen)
    (parameters,) = judge.objectives().values()
    optimizer = torch.optim.AdamW(parameters, lr=1.5e-3)
    for step in range(40):
        optimizer.zero_grad()
        total(judge, batch(4 * step)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = retrieval_accuracy(judge, unseen)
    assert after["against_one"] > max(0.75, before["against_one"] + 0.1)
    assert after["own_cosine"] > after["other_cosine"] + 0.05 and after["loss"] < after["chance"]


def test_every_parameter_learns() -> None:
    judge = expert()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        total(judge, batch(0, 1)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert [name for name, p in judge.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_a_size_that_does_not_halve_is_refused() -> None:
    with fails(ValueError, "size 100"):
        replace(SMALL, size=100, widths=(32,) * 3)
