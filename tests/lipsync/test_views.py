"""What a frame of the result shows."""

import numpy as np
import pytest

from face_detection import Box, jaw_mask, make_layer
from lipsync.rendering.views import CompositedFrame, compare, mask, patch, result, view
from lipsync.settings import Settings


@pytest.fixture
def edit() -> CompositedFrame:
    """Grey frame, two faces far apart whose mouths become white."""
    frame = np.full((60, 120, 3), 100, np.uint8)
    boxes = Box(5, 5, 45, 45), Box(70, 10, 110, 50)
    white = np.full((32, 32, 3), 255, np.uint8)
    return CompositedFrame(frame, tuple(make_layer(white, box, jaw_mask(32), 60, 120) for box in boxes), boxes)


def test_the_result_and_nothing_else_changes(edit):
    shown = result(edit)
    assert shown[36, 25].min() > 250 and shown[40, 90].min() > 250
    assert (shown[:24] == 100).all() and (edit.picture == 100).all()
    assert np.array_equal(result(CompositedFrame(edit.picture)), edit.picture)


def test_compare_is_before_and_after(edit):
    both = compare(edit)
    assert both.shape == (60, 240, 3)
    assert np.array_equal(both[:, :120], edit.picture) and np.array_equal(both[:, 120:], result(edit))


def test_the_mask_is_tinted_and_the_boxes_are_drawn(edit):
    shown, plain = mask(edit), result(edit)
    assert (shown[5, 5:45] == 255).all() and (shown[10, 70:110] == 255).all()
    assert (shown[36, 25] == [255, 128, 228]).all()
    assert np.array_equal(shown[54:], plain[54:])


def test_the_patch_laid_over_the_frame_is_the_result(edit):
    alone = patch(edit)
    alpha = alone[..., 3:] / 255
    composed = edit.picture * (1 - alpha) + alone[..., :3] * alpha
    assert np.abs(composed - result(edit)).max() <= 1.5
    assert not patch(CompositedFrame(edit.picture)).any()


def test_the_settings_choose():
    chosen = [view(Settings(**{name: True})) for name in ("compare", "debug_mask", "patch")]
    assert chosen == [compare, mask, patch] and view(Settings()) is result
