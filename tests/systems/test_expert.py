"""The expert tells a window's own sound from others', by the mouth alone, after a little practice."""

from dataclasses import replace

import pytest
import torch
from torch import Generator
from toy import talking

from dataset import ClipBatch, stack, window
from systems.progress import matching
from systems.sound import SoundConfig
from systems.sync import SyncConfig, SyncExpert

SMALL = SyncConfig(size=32, shrink=1, widths=(32, 32), embedding=16, sound=SoundConfig(res_blocks=1))


def batch(first: int, count: int = 16) -> ClipBatch:
    return stack([window(talking(n), n % 11, 5, 0) for n in range(first, first + count)])


def expert() -> SyncExpert:
    torch.manual_seed(0)
    return SyncExpert(SMALL)


def test_it_embeds_both_into_one_space_of_unit_vectors() -> None:
    judge, clips = expert(), batch(0, 3)
    faces, sound = judge.embed_faces(clips.faces), judge.embed_sound(clips.speech)
    assert faces.shape == sound.shape == (3, 16)
    assert torch.allclose(faces.norm(dim=1), torch.ones(3)) and torch.allclose(sound.norm(dim=1), torch.ones(3))
    assert torch.allclose(judge(clips.faces, clips.speech), (faces * sound).sum(dim=1))


def test_it_sees_the_lower_half_alone() -> None:
    judge, clips = expert(), batch(0, 2)
    faces = clips.faces.clone()
    faces[..., :16, :] = 0.5
    assert torch.equal(judge.embed_faces(faces), judge.embed_faces(clips.faces))
    faces[..., 16:, :] *= 0.5
    assert not torch.equal(judge.embed_faces(faces), judge.embed_faces(clips.faces))


def test_untrained_its_loss_is_chance() -> None:
    with torch.no_grad():
        terms = expert().losses(batch(0), Generator())
    assert set(terms) == {"find_sound", "find_face"}
    assert float(sum(terms.values())) == pytest.approx(torch.tensor(16.0).log().item(), rel=0.4)


def test_a_little_practice_makes_it_better_on_clips_it_never_saw() -> None:
    judge, unseen = expert(), batch(1000, 24)
    before = matching(judge, unseen)
    (objective,) = judge.objectives().values()
    optimizer = torch.optim.AdamW(objective.parameters, lr=1e-3)
    for step in range(25):
        optimizer.zero_grad()
        sum(objective.losses(batch(16 * step), Generator()).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    after = matching(judge, unseen)
    assert after["against_one"] > max(0.75, before["against_one"] + 0.1)
    assert after["own_cosine"] > after["other_cosine"] + 0.05


def test_every_parameter_learns() -> None:
    judge = expert()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        sum(judge.losses(batch(0, 4), Generator()).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    assert [name for name, p in judge.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_a_size_that_does_not_halve_is_refused() -> None:
    with pytest.raises(ValueError, match="size 100 does not halve"):
        replace(SMALL, size=100, widths=(32,) * 3)
