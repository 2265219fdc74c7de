"""A pack holds what it was given; what lies on the device is drawn as promised, a function of (seed, step)."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import BadInput, Mismatch, NoData, Unreadable
from dataset import FilterBankWindows, Needs, Resident, WindowConfig, corpus, to_pictures
from dataset.pack import Labels, PackClip, is_pack, packed
from face_detection import Box
from face_detection.alignment import TALL, TEMPLATE
from tests.helpers.failing import fails
from tests.helpers.talking_head import tone
from video import write_video

SIZE, FRAMES = 32, 20
CPU = torch.device("cpu")
PLAIN = WindowConfig(frames=1, margin=2, augment=False)
NEEDS = Needs((), motion=4, references=3, ordered=True)


def pack(folder: Path, speakers: str = "ab", *, frames: int = FRAMES, opening: np.ndarray | None = None) -> Path:
    """Clips whose frame k has the level 40 + 8 k, and whose mouth opens from frame to frame."""
    for number, speaker in enumerate(speakers):
        clip = folder / f"piece-{number % 2:03d}" / "train" / speaker / "one.mp4"
        clip.parent.mkdir(parents=True)
        pictures = (np.full((96, 96, 3), 40 + 8 * k, np.uint8) for k in range(frames))
        sound = tone(folder / "sound.wav", frames / 25)
        write_video(clip, pictures, Fraction(25), sound=sound, crf=1)
        box = Box.centred(48, 40, 50, 50 * TALL)
        points = (np.array(list(TEMPLATE.values())) * 50 + [box.x0, box.y0]).astype(np.float32)
        opened = np.linspace(0, 1, frames) if opening is None else opening
        Labels(np.tile(points, (frames, 1, 1)), np.zeros((frames, 4), np.float32), opened.astype(np.float32)).save(
            clip.with_suffix(".npz")
        )
    return folder


def resident(folder: Path, config: WindowConfig = PLAIN, needs: Needs = NEEDS, **given: int) -> Resident:
    clips = packed(folder, SIZE, "aligned")["train"]
    return Resident(clips, config, **({"batch": 8, "seed": 3} | given), needs=needs, device=CPU)


def numbers(faces: torch.Tensor) -> np.ndarray:
    """Which frames these are, from their level: [..., 3, s, s] -> int [...]."""
    level = to_pictures(faces)[..., SIZE // 2, SIZE // 2, 1].astype(float)
    return np.rint((level - 40) / 8).astype(int)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("pack"))


def test_a_pack_is_known_by_its_pieces(folder: Path, tmp_path: Path) -> None:
    assert is_pack(folder) and not is_pack(tmp_path)
    clips = corpus(folder, SIZE, "aligned")["train"]
    assert [clip.speaker for clip in clips] == ["a", "b"]
    assert len(clips[0]) == FRAMES and clips[0].fps == 25
    assert clips[0].mel.seconds == pytest.approx(FRAMES / 25, abs=0.1)


def test_frames_come_in_the_order_they_are_asked_for(folder: Path) -> None:
    clip = packed(folder, SIZE, "box")["train"][0]
    shown = clip.pictures([5, 3, 3, 19])
    assert shown.shape == (4, SIZE, SIZE, 3)
    assert np.rint((shown[:, 0, 0, 1].astype(float) - 40) / 8).tolist() == [5, 3, 3, 19]


def test_only_a_pack_aligns(tmp_path: Path) -> None:
    with fails(NoData, tmp_path):
        corpus(tmp_path, SIZE, "aligned")


def test_labels_of_other_frames_are_refused(folder: Path, tmp_path: Path) -> None:
    broken = pack(tmp_path, "a", frames=6)
    path = next(broken.glob("piece-*/train/a/one.npz"))
    Labels(np.zeros((9, 9, 2), np.float32), np.zeros((9, 4), np.float32), np.zeros(9, np.float32)).save(path)
    with fails(Mismatch, "one.mp4"):
        PackClip(path.with_suffix(".mp4"), "a", SIZE).pictures([8])
    path.write_bytes(b"nothing")
    with fails(Unreadable, "one.npz"):
        len(PackClip(path.with_suffix(".mp4"), "a", SIZE))


def test_a_batch_is_a_function_of_seed_and_step(folder: Path) -> None:
    varied = WindowConfig(frames=1, margin=2, zoom=0.1, rotate=5, reference_jitter=0.03)
    one, other = resident(folder, varied), resident(folder, varied)
    assert torch.equal(one[4].faces, other[4].faces) and torch.equal(one[4].references, other[4].references)
    assert not torch.equal(one[4].faces, one[5].faces)
    assert not torch.equal(one[4].faces, resident(folder, varied, seed=4)[4].faces)


def test_references_are_other_moments_the_widest_mouth_first(folder: Path) -> None:
    drawn = resident(folder, batch=64)
    for step in range(3):
        batch = drawn[step]
        own, shown = numbers(batch.faces[:, 0]), numbers(batch.references[:, 0])
        assert (abs(shown - own[:, None]) > PLAIN.margin).all()
        assert (np.diff(shown, axis=1) <= 0).all()                      # mouths open from frame to frame
        assert torch.equal(batch.reference[:, 0], batch.references[:, 0, 0])


def test_some_windows_have_one_picture_for_all_references(folder: Path) -> None:
    config = replace(PLAIN, reference_jitter=0.1, single_reference=0.5)
    batch = resident(folder, config, batch=64)[0]
    shown = batch.references[:, 0]
    alike = (shown == shown[:, :1]).flatten(1).all(dim=1)
    assert 16 < int(alike.sum()) < 48
    own, other = numbers(batch.faces[:, 0]), numbers(shown)
    assert (abs(other - own[:, None]) > PLAIN.margin).all()


def test_a_clip_too_short_for_the_margin_shows_all_but_the_window(tmp_path: Path) -> None:
    drawn = resident(pack(tmp_path, "a", frames=3), batch=32)
    batch = drawn[0]
    own, shown = numbers(batch.faces[:, 0]), numbers(batch.references[:, 0])
    assert (shown != own[:, None]).all() and set(shown.ravel()) == {0, 1, 2}


def test_every_frame_is_drawn_and_speakers_are_balanced(folder: Path) -> None:
    drawn = resident(folder, batch=256)
    batch = drawn[0]
    assert set(numbers(batch.faces[:, 0])) == set(range(FRAMES))
    assert 0.35 < float(batch.clip.float().mean()) < 0.65


def test_what_listens_gets_the_sound_of_its_window(folder: Path) -> None:
    drawn = resident(folder, WindowConfig(frames=5, augment=False), Needs(), batch=4)
    batch = drawn[0]
    clip = packed(folder, SIZE, "aligned")["train"][int(batch.clip[0])]
    start = int(numbers(batch.faces[:1])[0, 0])
    assert np.allclose(batch.mel[0], clip.mel.windows(start, start + 5, clip.fps), atol=1e-5)
    assert np.allclose(batch.speech[0], clip.mel.span(start, 5, clip.fps), atol=1e-5)


def test_what_does_not_fit_into_memory_is_refused_with_a_remedy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset.resident._free", lambda device: 1000)
    with fails(BadInput, "40 frames"):
        resident(folder)


def test_colours_and_bends_are_those_of_the_whole_row(tmp_path: Path) -> None:
    """A picture of a pack, bent and lit otherwise: its references as it is, the next row by itself."""
    one = pack(tmp_path, "ab", frames=2)
    varied = WindowConfig(frames=1, augment=False, elastic=0.03, colour_jitter=0.2)
    needs = Needs((), motion=4, references=1)
    batch = resident(one, varied, needs, batch=4)[0]
    plain = resident(one, WindowConfig(frames=1, augment=False), needs, batch=4)[0]
    changed, before = batch.faces[:, 0] + 1, plain.faces[:, 0] + 1
    shown, stood = batch.reference[:, 0] + 1, plain.reference[:, 0] + 1
    assert torch.allclose(changed / before, shown / stood, atol=0.02)
    factors = (changed / before).mean(dim=(2, 3))
    assert factors.std(dim=0).min() > 0.01                              # rows differ
    assert (changed / before).std(dim=(2, 3)).min() > 0.001             # and light falls from a side


def test_a_bend_moves_what_is_seen(tmp_path: Path) -> None:
    folder = pack(tmp_path, "a", frames=3)
    clip = next(folder.glob("piece-*/train/a/one.mp4"))
    stripes = np.broadcast_to((np.arange(96) // 8 % 2 * 200)[None, :, None], (96, 96, 3)).astype(np.uint8)
    write_video(clip, (stripes for _ in range(3)), Fraction(25), sound=tmp_path / "sound.wav", crf=1)
    needs = Needs((), motion=4, references=1)
    straight = resident(folder, WindowConfig(frames=1, augment=False), needs, batch=2)[0].faces[:, 0]
    bent = resident(folder, WindowConfig(frames=1, augment=False, elastic=0.03), needs, batch=2)[0].faces[:, 0]
    assert straight[0, 0].std(dim=0).max() < 0.1 < bent[0, 0].std(dim=0).max()
    assert (bent[0] - bent[1]).abs().mean() > 0.05

def test_several_windows_of_a_clip_are_different_ones_seen_alike(folder: Path) -> None:
    several = WindowConfig(frames=3, per_clip=4, zoom=0.2, rotate=5, voice_jitter=6)
    batch = resident(folder, several, Needs())[0]
    assert batch.clip is not None and (batch.clip.reshape(2, 4) == batch.clip.reshape(2, 4)[:, :1]).all()
    middle = resident(folder, replace(several, augment=False), Needs())[0].faces[:, :, :, SIZE // 2, SIZE // 2]
    shades = middle.reshape(2, 4, -1)
    assert all(len({tuple(row) for row in some.tolist()}) == 4 for some in shades)  # four different moments
    assert batch.speech.shape == (8, 80, 16) and not torch.equal(batch.speech[0], batch.speech[1])
    with fails(Mismatch, "batch of 6", 4):
        resident(folder, several, Needs(), batch=6)


def test_who_wants_the_frames_before_gets_them(folder: Path) -> None:
    batch = resident(folder, replace(PLAIN, frames=2), Needs(before=3), batch=64)[0]
    assert batch.before is not None and batch.before.shape[:2] == (64, 3)
    shown = np.concatenate([numbers(batch.before), numbers(batch.faces)], axis=1)
    assert (np.diff(shown, axis=1) == 1).all() and shown.min() >= 0 and shown.max() < FRAMES
    with fails(Mismatch, "AV-HuBERT"):
        resident(folder, PLAIN, Needs((FilterBankWindows(50),)))
