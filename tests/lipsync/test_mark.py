"""A visible mark: the same word on every size of video, where it is asked for, and nowhere else."""

import numpy as np
import pytest

from core.errors import BadInput
from face_detection import Box, jaw_mask, make_layer
from lipsync.rendering.mark import Mark
from lipsync.rendering.views import CompositedFrame, marked, patch, result, view
from lipsync.settings import Settings


@pytest.mark.parametrize(("height", "width"), [(240, 426), (240, 320), (360, 640), (1080, 1920), (2160, 3840)])
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_it_is_small_in_a_corner_and_stands_out(height: int, width: int, shade: int) -> None:
    frame = np.full((height, width, 3), shade, np.uint8)
    shown = Mark("synthetic").over(frame)
    rows, columns = (np.flatnonzero((shown != frame).any(axis=axes)) for axes in ((1, 2), (0, 2)))
    assert rows[0] > 0.85 * height and rows[-1] < height - 1 and columns[0] > 0.6 * width and columns[-1] < width - 1
    assert len(rows) >= 12 and len(rows) * len(columns) < 0.035 * height * width
    part = shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(int)
    assert part.max() - np.median(part) > 80  # letters against their plate
    assert (frame == shade).all()


def test_letters_of_other_scripts_and_texts_that_do_not_fit() -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    assert (Mark("сделано машиной").over(frame) > 0).any()
    for text in ("합성", "اصطناعي", "e\u0301"):
        with pytest.raises(BadInput, match=r"--mark_text .* cannot be drawn; use Latin"):
            Mark(text)
    long = Mark("made by a machine, whatever it seems to be saying to you")
    assert (long.over(frame) > 0).any()
    with pytest.raises(BadInput, match="too long for a picture of 96x96"):
        long.over(frame[:96, :96])
    for text in ("", "  ", "two\nlines", "x" * 61):
        with pytest.raises(BadInput, match="--mark_text"):
            Settings(mark_text=text)


def test_views_are_marked_if_that_is_asked_for() -> None:
    frame = np.full((200, 300, 3), 100, np.uint8)
    box = Box(100, 50, 180, 130)
    layer = make_layer(np.full((32, 32, 3), 255, np.uint8), box, jaw_mask(32), 200, 300)
    edit = CompositedFrame(frame, (layer,), (box,))
    chosen = Settings(mark=True)
    assert marked(result, Settings()) is result
    assert np.array_equal(view(chosen)(edit), Mark("synthetic").over(result(edit)))
    both = view(Settings(mark=True, compare=True))(edit)
    assert np.array_equal(both[:, :300], frame) and (both[170:, 300:] != frame[170:]).any()
    alone = view(Settings(mark=True, patch=True))(edit)
    plain = patch(edit)
    assert np.array_equal(alone[:150], plain[:150]) and alone[180:, 200:, 3].max() > 230
    laid = frame * (1 - alone[..., 3:] / 255) + alone[..., :3] * (alone[..., 3:] / 255)
    assert np.abs(laid - view(chosen)(edit)).max() < 40
