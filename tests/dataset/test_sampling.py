"""A batch is a function of (seed, step); its pictures and its sound are of the same moment."""

from collections import Counter

import numpy as np
import pytest
import torch
from toy import counting, talking

from dataset import Clip, ClipBatch, WindowConfig, Windows, to_pictures, window
from dataset.sampling import _zoomed
from errors import BadInput

PLAIN = WindowConfig(frames=5, augment=False)
FIELDS = ("faces", "reference", "mel", "speech")


def equal(one: ClipBatch, other: ClipBatch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


def frame_numbers(faces: torch.Tensor) -> np.ndarray:
    """Which frames of `counting` these are.  [b, t, 3, s, s] -> int [b, t]."""
    levels = to_pictures(faces)[:, :, 0, 0, 0].astype(int)
    assert (levels % 10 == 0).all()
    return levels // 10


def clips() -> list[Clip]:
    return [talking(n, size=8, speaker="abc"[n % 3]) for n in range(6)]


@pytest.mark.parametrize("augment", [False, True])
def test_a_batch_is_a_function_of_seed_and_step_alone(augment: bool) -> None:
    config = WindowConfig(frames=3, augment=augment)
    one, other = (Windows(clips(), config, batch=4, seed=5) for _ in range(2))
    later = one.from_step(7)
    assert equal(next(later), other[7]) and equal(next(later), other[8])
    assert not equal(other[7], other[8])
    assert not equal(other[7], Windows(clips(), config, batch=4, seed=6)[7])


def test_a_batch_has_the_shapes_it_promises() -> None:
    batch = Windows(clips(), PLAIN, batch=4, seed=0)[0]
    assert [tuple(getattr(batch, name).shape) for name in FIELDS] == [
        (4, 5, 3, 8, 8), (4, 5, 3, 8, 8), (4, 5, 80, 16), (4, 80, 16),
    ]  # fmt: skip
    assert batch.faces.dtype == torch.float32 and batch.faces.abs().max() <= 1


def test_frames_follow_each_other_and_the_reference_is_another_moment() -> None:
    windows = Windows([counting()], PLAIN, batch=16, seed=0)
    references = Counter[int]()
    for step in range(20):
        batch = windows[step]
        numbers, reference = frame_numbers(batch.faces), frame_numbers(batch.reference)
        assert (np.diff(numbers, axis=1) == 1).all()
        assert (reference == reference[:, :1]).all()
        assert not (reference[:, :1] == numbers).any()
        references.update(reference[:, 0].tolist())
    assert set(references) == set(range(16))


@pytest.mark.parametrize("augment", [False, True])
def test_the_sound_belongs_to_the_frames(augment: bool) -> None:
    clip = counting()
    drawn = Windows([clip], WindowConfig(frames=5, augment=augment), batch=16, seed=0)[0]
    for mel, speech in zip(drawn.mel, drawn.speech, strict=True):
        starts = (mel[:, 0, 0] * 100).round().int().tolist()
        first = int(speech[0, 0] * 100 + 0.5) * 25 // 80 + (int(speech[0, 0] * 100 + 0.5) * 25 % 80 > 0)
        expected = window(clip, first, 5, 0)
        assert torch.equal(mel, expected.mel[0]) and torch.equal(speech, expected.speech[0])
        assert starts == [int(80 * max(k - 1, 0) / 25) for k in range(first, first + 5)]
    if not augment:
        for i, numbers in enumerate(frame_numbers(drawn.faces)):
            assert torch.equal(drawn.mel[i], window(clip, int(numbers[0]), 5, 0).mel[0])


def test_a_window_is_what_was_asked_for() -> None:
    batch = window(counting(), 4, 3, 11)
    assert frame_numbers(batch.faces).tolist() == [[4, 5, 6]]
    assert frame_numbers(batch.reference).tolist() == [[11, 11, 11]]


def test_windows_of_one_clip_stand_together_and_differ() -> None:
    config = WindowConfig(frames=2, per_clip=4, augment=False)
    batch = Windows([talking(n, size=8) for n in range(5)], config, batch=8, seed=1)[3]
    colours = batch.faces[:, 0, :, 0, 0]
    for group in (colours[:4], colours[4:]):
        assert (group == group[0]).all()
    assert len({tuple(speech.ravel().tolist()) for speech in batch.speech[:4]}) == 4


@pytest.mark.parametrize(("balance", "share"), [(0.0, 0.5), (1.0, 0.8), (0.5, 2 / 3)])
def test_balance_decides_how_much_the_amount_of_a_speaker_counts(balance: float, share: float) -> None:
    """Ann has four clips of 20 frames and Bob one: per clip, Ann's are drawn 4 ** balance times as often in all."""
    mine = [counting(20, speaker=s) for s in ("ann", "ann", "ann", "ann", "bob")]
    windows = Windows(mine, WindowConfig(frames=5, balance=balance), batch=1, seed=0)
    assert windows.weights[:4].sum() == pytest.approx(share)
    assert windows.weights.sum() == pytest.approx(1)


def test_augmentation_treats_a_whole_window_alike_and_leaves_the_picture_a_picture() -> None:
    clip = counting(25)
    clip.faces[:, :, :2], clip.faces[:, :, -2:] = 250, 5  # a bright left edge tells which way round it is
    sides, levels = Counter[bool](), set()
    for step in range(20):
        batch = Windows([clip], WindowConfig(frames=5), batch=4, seed=0)[step]
        for faces, reference in zip(batch.faces, batch.reference, strict=True):
            pictures = torch.cat([faces, reference])
            left = pictures[..., 0].mean(dim=(1, 2)) > pictures[..., -1].mean(dim=(1, 2))
            assert left.all() or not left.any()
            sides[bool(left[0])] += 1
            levels.add(round(float(faces[0, 0, 0, 0 if left[0] else -1]), 3))
    assert 20 < sides[True] < 60 and len(levels) > 10


def test_short_clips_are_left_out_and_none_left_is_refused() -> None:
    windows = Windows([counting(5), counting(6, speaker="bob")], PLAIN, batch=2, seed=0)
    assert [clip.speaker for clip in windows.clips] == ["bob"]
    with pytest.raises(BadInput, match="no clip has more than 5 frames; prepare longer ones"):
        Windows([counting(5)], PLAIN, batch=2, seed=0)
    with pytest.raises(BadInput, match="a batch of 6 does not divide into 4 windows a clip"):
        Windows(clips(), WindowConfig(per_clip=4), batch=6, seed=0)
    with pytest.raises(ValueError, match="at least 1"):
        WindowConfig(frames=0)


def test_zoom_shows_a_part_of_all_faces_alike() -> None:
    rows, columns = np.mgrid[:32, :32]
    ramp = np.stack([4 * rows, 4 * columns, 0 * rows], 2).astype(np.uint8)
    shown = _zoomed(np.stack([ramp, ramp]), (0.25, 0.5, 0.5))
    assert np.array_equal(shown[0], shown[1]) and shown.shape == (2, 32, 32, 3)
    corner, middle = shown[0, 0, 0].astype(int), shown[0, 16, 16].astype(int)
    assert abs(corner[0] - 64) <= 3 and abs(corner[1] - 32) <= 3
    assert abs(middle[0] - 96) <= 3 and abs(middle[1] - 64) <= 3
    assert np.array_equal(_zoomed(ramp[None], (0.0, 0.0, 1.0))[0], ramp)
