"""A batch is a function of (seed, step); its pictures and its sound are of the same moment."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import BadInput, Mismatch, NoData
from dataset import Clip, ClipBatch, WindowConfig, Windows, corpus, entries, load_clip, save_clip, to_pictures, window
from dataset.sampling import _zoomed
from tests.helpers.failing import fails
from tests.helpers.toy import counting, talking

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
    assert equal(one[7], other[7]) and equal(one[8], other[8])
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
    assert windows.usable.tolist() == [1] and windows.weights.tolist() == [1]
    assert frame_numbers(windows[0].faces).max() <= 5
    with fails(NoData, "5 frames"):
        Windows([counting(5)], PLAIN, batch=2, seed=0)
    with fails(Mismatch, "batch of 6", 4):
        Windows(clips(), WindowConfig(per_clip=4), batch=6, seed=0)
    with fails(ValueError, "window", "clip"):
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


def test_the_same_seed_draws_what_it_has_always_drawn() -> None:
    """Runs that were begun with an earlier version go on with the same batches."""
    mine = [counting(speaker=speaker) for speaker in "aab"] + [counting(4)]
    batch = Windows(mine, PLAIN, batch=6, seed=3)[5]
    assert batch.clip is not None and batch.clip.tolist() == [0, 2, 2, 1, 2, 0]
    assert frame_numbers(batch.faces)[:, 0].tolist() == [2, 2, 10, 6, 11, 7]
    assert frame_numbers(batch.reference)[:, 0].tolist() == [8, 15, 8, 11, 6, 5]


def test_sequences_of_one_clip_have_its_number() -> None:
    batch = Windows(clips(), WindowConfig(frames=2, per_clip=3, augment=False), batch=12, seed=1)[0]
    assert batch.clip is not None and batch.clip.dtype == torch.int64
    assert torch.equal(batch.clip, batch.clip[::3].repeat_interleave(3)) and len(batch.clip.unique()) > 1
    moved = batch.to("cpu")
    assert moved.clip is not None and torch.equal(moved.clip, batch.clip)
    with fails(ValueError, "faces", "speech"):
        ClipBatch(batch.faces, batch.reference, batch.audio, batch.speech, batch.clip[:5])


def test_voices_vary_what_is_heard_and_nothing_that_is_seen() -> None:
    plain, varied = (
        Windows(clips(), WindowConfig(frames=2, per_clip=2, voice_jitter=jitter), batch=4, seed=0)[3]
        for jitter in (0.0, 6.0)
    )
    assert torch.equal(plain.faces, varied.faces) and torch.equal(plain.reference, varied.reference)
    changes = varied.speech - plain.speech
    heard = [{round(float(change), 4) for change in changes[rows].unique()} for rows in ([0, 1], [2, 3])]
    assert heard[0] != {0.0} and heard[0] != heard[1]  # each clip speaks in a voice of its own
    with fails(ValueError, "window", "clip"):
        WindowConfig(voice_jitter=-1)


def test_prepared_clips_on_disk_give_the_batches_of_clips_in_memory(tmp_path: Path) -> None:
    for number in range(4):
        save_clip(tmp_path / "train" / "ab"[number % 2] / f"{number}.npz", talking(number, frames=9 + number, size=16))
    config = WindowConfig(frames=3, margin=1, voice_jitter=3, zoom=0.1)
    on_disk = Windows(corpus(tmp_path, 16)["train"], config, batch=6, seed=2)
    in_memory = Windows([load_clip(entry) for entry in entries(tmp_path, "train")], config, batch=6, seed=2)
    for step in range(3):
        assert equal(on_disk[step], in_memory[step])


@dataclass
class Unopened:
    """A clip of which nothing is known before it is opened, and that may turn out to be broken."""

    clip: Clip
    broken: bool = False
    amount: None = None
    opened: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        self.opened.append(1)
        if self.broken:
            raise BadInput(f"{self.clip.name} of {self.clip.speaker}: broken")
        return len(self.clip)

    def pictures(self, numbers: Sequence[int]) -> np.ndarray:
        return self.clip.pictures(numbers)

    name = property(lambda self: self.clip.name)
    speaker = property(lambda self: self.clip.speaker)
    fps = property(lambda self: self.clip.fps)
    mel = property(lambda self: self.clip.mel)


def unopened(broken: tuple[int, ...] = (1, 4)) -> list[Unopened]:
    return [Unopened(talking(n, size=8, speaker=f"speaker{n}"), n in broken) for n in range(6)]


def test_broken_clips_are_named_once_and_replaced_whoever_knows_of_them(caplog: pytest.LogCaptureFixture) -> None:
    config = WindowConfig(frames=3, voice_jitter=3)
    experienced = Windows(unopened(), config, batch=8, seed=0)
    with caplog.at_level(logging.WARNING):
        batches = [experienced[step] for step in range(6)]
    assert sorted(record.getMessage() for record in caplog.records) == [
        "left out: clip1 of speaker1: broken", "left out: clip4 of speaker4: broken",
    ]  # fmt: skip
    assert {int(number) for batch in batches if batch.clip is not None for number in batch.clip} == {0, 2, 3, 5}
    for step, batch in enumerate(batches):  # another process, and one that has just resumed
        assert equal(batch, Windows(unopened(), config, batch=8, seed=0)[step])


def test_a_broken_clip_leaves_the_others_of_its_batch_as_they_were() -> None:
    whole, partly = (Windows(unopened(broken), PLAIN, batch=8, seed=0)[0] for broken in ((), (1, 4)))
    assert whole.clip is not None and partly.clip is not None
    same = ~torch.isin(whole.clip, torch.tensor([1, 4]))
    assert 0 < same.sum() < 8
    assert torch.equal(whole.clip[same], partly.clip[same])


def test_clips_too_short_to_serve_are_found_when_they_are_opened(caplog: pytest.LogCaptureFixture) -> None:
    mine = [Unopened(counting(5)), Unopened(counting(6, speaker="bob"))]
    with caplog.at_level(logging.WARNING):
        batch = Windows(mine, PLAIN, batch=8, seed=0)[0]  # type: ignore[arg-type]
    assert batch.clip is not None and batch.clip.tolist() == [1] * 8
    assert "its 5 frames are too few for a window of 5 and a reference" in caplog.text


def test_nothing_is_opened_before_it_is_drawn_and_all_broken_is_an_error() -> None:
    mine = unopened(broken=tuple(range(6)))
    windows = Windows(mine, PLAIN, batch=2, seed=0)
    assert not any(clip.opened for clip in mine)
    with fails(NoData, "100 clips"):
        windows[0]
    assert all(len(clip.opened) <= 1 for clip in mine)
