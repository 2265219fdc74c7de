"""Pictures go into the network and come back unchanged; what does not belong together cannot be put together."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from audio import Mel
from dataset import Clip, ClipBatch, stack, to_network, to_pictures, window
from tests.helpers.failing import fails
from tests.helpers.toy import counting, talking


def test_every_value_of_a_pixel_survives_the_network_range() -> None:
    pictures = np.arange(256 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    values = to_network(pictures)
    assert values.shape == (1, 3, 16, 16) and values.dtype == torch.float32
    assert values.min() == -1 and values.max() == 1
    assert np.array_equal(to_pictures(values), pictures)


@pytest.mark.parametrize("shape", [(4, 6, 3), (2, 4, 6, 3), (2, 5, 4, 6, 3)])
def test_channels_move_and_nothing_else(shape: tuple[int, ...]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert to_network(pictures).shape == (*shape[:-3], 3, *shape[-3:-1])
    assert np.array_equal(to_pictures(to_network(pictures)), pictures)


def test_values_out_of_range_are_held_not_wrapped() -> None:
    assert to_pictures(torch.tensor([-3.0, 0.0, 3.0]).view(1, 3, 1, 1)).ravel().tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    "faces",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
    ],
)
def test_a_clip_refuses_what_are_no_faces(faces: np.ndarray) -> None:
    with fails(ValueError, "no one", "faces"):
        Clip("no one", "ann", faces, Mel(np.zeros((4, 80), np.float32), 0.05), Fraction(25))


def test_a_batch_refuses_what_does_not_belong_together() -> None:
    good = window(counting(), 0, 5, 9)
    with fails(ValueError, "faces", "reference"):
        ClipBatch(good.faces, good.reference[:, :4], good.audio, good.speech)
    with fails(ValueError, "faces", "mel"):
        ClipBatch(good.faces, good.reference, {"mel": good.mel[:, :4]}, good.speech)
    with fails(ValueError, "faces", "speech"):
        ClipBatch(good.faces, good.reference, good.audio, good.speech.repeat(2, 1, 1))


def test_a_stack_holds_its_parts_in_order() -> None:
    parts = [window(talking(n), 3, 5, 0) for n in range(3)]
    whole = stack(parts)
    assert whole.faces.shape == (3, 5, 3, 32, 32) and whole.speech.shape == (3, 80, 16)
    for i, part in enumerate(parts):
        for name in ("faces", "reference", "mel", "speech"):
            assert torch.equal(getattr(whole, name)[i : i + 1], getattr(part, name))


def test_a_clip_in_memory_is_footage() -> None:
    clip = counting(12)
    assert clip.amount == len(clip) == 12
    assert clip.pictures([7, 0, 7])[:, 0, 0, 0].tolist() == [70, 0, 70]
