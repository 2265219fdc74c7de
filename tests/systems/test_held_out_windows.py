"""Windows that a training is measured on have the frames before them that the network needs."""

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import NoData
from dataset import Needs, stack, window
from systems.validation import held_out_windows
from tests.helpers.failing import fails
from tests.helpers.toy import counting, talking


def numbers(pictures: Tensor) -> list[int]:
    """Which frames of `counting` are shown: [t, 3, s, s] -> t numbers."""
    return ((pictures.mean(dim=(1, 2, 3)) + 1) * 127.5 / 10).round().int().tolist()


@pytest.mark.parametrize("length", [14, 20, 25])
@pytest.mark.parametrize("per_clip", [1, 4])
def test_each_window_has_the_frames_before_it_and_they_are_spread(length: int, per_clip: int) -> None:
    batch = held_out_windows([counting(length)], frames=5, count=4, per_clip=per_clip, needs=Needs(before=8))
    starts = [numbers(faces)[0] for faces in batch.faces]
    assert batch.before is not None and len(starts) == per_clip
    assert [numbers(before) for before in batch.before] == [list(range(start - 8, start)) for start in starts]
    assert starts[0] >= 8 and starts[-1] + 5 <= length
    apart = np.diff(starts)
    assert not len(apart) or apart.max() - apart.min() <= 1


@pytest.mark.parametrize("before", [0, 1, 8])
def test_a_clip_that_is_long_enough_gives_the_windows_that_it_gave(before: int) -> None:
    clip, needs = talking(0, frames=100), Needs(before=before)
    batch = held_out_windows([clip], frames=5, count=1, per_clip=4, needs=needs)
    expected = stack([window(clip, int(95 * (k + 0.5) / 4), 5, 0, needs) for k in range(4)])
    assert torch.equal(batch.faces, expected.faces)


def test_what_is_too_short_for_that_is_left_out() -> None:
    clips = [talking(0, frames=13), talking(1, frames=14)]
    assert len(held_out_windows(clips, frames=5, count=2, needs=Needs(before=8)).faces) == 1
    with fails(NoData, "more than 13 frames"):
        held_out_windows(clips[:1], frames=5, count=2, needs=Needs(before=8))
    for before in (0, 1):
        assert len(held_out_windows([talking(0, frames=8)], frames=5, count=1, needs=Needs(before=before)).faces) == 1
