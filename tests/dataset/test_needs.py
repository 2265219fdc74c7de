"""A batch carries what a network needs besides: the frame before, and the filter banks around each frame."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from audio import BANK_RATE, FilterBanks, read_filterbanks, read_mel
from core.errors import Mismatch, NoData
from dataset import (
    MEL,
    Clip,
    Entry,
    FilterBankWindows,
    Needs,
    PreparedClip,
    WindowConfig,
    Windows,
    load_clip,
    save_clip,
    stack,
    to_pictures,
    window,
)
from dataset.cutting import Take, _judged
from dataset.span import Span
from dataset.sync_filter import Offset, SyncFilter
from tests.helpers.failing import fails
from tests.helpers.talking_head import tone
from tests.helpers.toy import counting

ALL = Needs((MEL, FilterBankWindows(4)), before=1)
FPS = Fraction(25)


def banked(frames: int = 16) -> Clip:
    """`counting`, and filter banks of another shape for every column."""
    columns = np.random.default_rng(0).normal(size=(frames * 4, 26)).astype(np.float32)
    return replace(counting(frames), banks=FilterBanks(columns))


def number(picture: torch.Tensor) -> int:
    """Which frame of `counting` this is."""
    return int(to_pictures(picture)[0, 0, 0]) // 10


@pytest.mark.parametrize("augment", [False, True])
def test_a_window_brings_the_frame_before_it_and_the_banks_around_it(augment: bool) -> None:
    config = WindowConfig(frames=3, per_clip=2, augment=augment)
    clip = banked()
    batch = Windows([clip], config, batch=8, seed=0, needs=ALL)[0]
    assert batch.before is not None and batch.before.shape == (8, 1, 3, 8, 8)
    assert "banks" in batch.audio and batch.audio["banks"].shape == (8, 3, 4, 104)
    firsts = range(1, 14)
    windows = [torch.from_numpy(clip.banks.windows(f, f + 3, FPS, 4)) for f in firsts] if clip.banks else []
    for i in range(8):
        first = next(f for f, rows in zip(firsts, windows, strict=True) if torch.equal(rows, batch.audio["banks"][i]))
        if not augment:
            assert (number(batch.before[i, 0]), number(batch.faces[i, 0])) == (first - 1, first)


def test_a_window_brings_as_many_frames_before_it_as_are_needed() -> None:
    (before,) = window(banked(), 5, 3, 12, Needs(before=4)).before  # type: ignore[misc]
    assert [number(picture) for picture in before] == [1, 2, 3, 4]
    with fails(ValueError, "frame 3", 4):
        window(banked(), 3, 3, 12, Needs(before=4))


def test_what_nobody_needs_changes_no_batch() -> None:
    """Diff2Lip's windows are those that it had before others needed more."""
    plain = Windows([counting()], WindowConfig(frames=3), batch=4, seed=0)[5]
    assert plain.before is None and "banks" not in plain.audio
    again = Windows([banked()], WindowConfig(frames=3), batch=4, seed=0, needs=Needs())[5]
    assert torch.equal(plain.faces, again.faces) and torch.equal(plain.reference, again.reference)


def test_parts_of_a_batch_keep_what_belongs_to_them() -> None:
    whole = stack([window(banked(), k, 3, 12, ALL) for k in (1, 4, 7)])
    assert whole.before is not None and "banks" in whole.audio
    some = whole.rows(torch.tensor([True, False, True])).to("cpu")
    assert some.before is not None and "banks" in some.audio
    assert [number(picture) for picture in some.before[:, 0]] == [0, 6]
    frame = whole.frame(2, whole.faces[:, 1:2])
    assert frame.before is not None and "banks" in frame.audio and frame.faces.shape[1] == 1
    assert torch.equal(frame.audio["banks"], whole.audio["banks"][:, 2:])
    assert (number(frame.before[1, 0]), number(frame.faces[1, 0])) == (5, 6)
    assert stack([whole, replace(whole, before=None)]).before is None


def test_what_does_not_belong_together_is_refused() -> None:
    good = window(banked(), 4, 3, 12, ALL)
    assert good.before is not None and "banks" in good.audio
    with fails(ValueError, "(1, 1, 3, 8, 4)", "faces"):
        replace(good, before=good.before[..., :4])
    with fails(ValueError, "faces", "banks"):
        good.with_audio(banks=good.audio["banks"][:, :2])
    with fails(ValueError, "frame 0", 1):
        window(banked(), 0, 3, 12, ALL)
    with fails(Mismatch, "counting"):
        window(counting(), 4, 3, 12, ALL)
    with fails(NoData, "16 frames"):
        Windows([counting()], WindowConfig(frames=15), batch=1, seed=0, needs=Needs(before=1))


def test_a_prepared_clip_keeps_its_banks_and_an_old_one_says_that_it_has_none(tmp_path: Path) -> None:
    for name, clip in (("new", banked()), ("old", counting())):
        entry = Entry(tmp_path / f"{name}.npz", "ann")
        save_clip(entry.path, clip)
        for found in (load_clip(entry).banks, PreparedClip(entry, 8).banks):
            if clip.banks is None:
                assert found is None
            else:
                assert found is not None and np.allclose(found.columns, clip.banks.columns, atol=2e-3)


def test_a_sound_that_is_shifted_takes_its_banks_along(tmp_path: Path) -> None:
    path = tone(tmp_path / "tone.wav", 3.0)
    mel, banks = read_mel(path), read_filterbanks(path)
    clip = Clip("tone", "ann", np.zeros((25, 8, 8, 3), np.uint8), mel, FPS)
    take = Take(Span(Fraction(1), 25, 0, 25, 100.0), clip, mel, banks)
    for shift in (0, 3):
        kept, _ = _judged(take, SyncFilter(), lambda faces, mel, fps, shift=shift: Offset(shift, 1.0))
        first = BANK_RATE + 4 * shift
        assert kept is not None and kept.banks is not None
        assert np.array_equal(kept.banks.columns, banks.columns[first : first + BANK_RATE])
