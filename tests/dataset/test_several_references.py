"""Networks that see several frames of a face get them; what they are told goes with its frames."""

from dataclasses import replace

import torch

from dataset import Needs, WindowConfig, Windows, stack, window
from tests.helpers.failing import fails
from tests.helpers.toy import counting

NEEDS = Needs(references=3)


def numbers(pictures: torch.Tensor) -> list[int]:
    """Which frames of a counting clip these [..., 3, s, s] are."""
    return [round(float(value + 1) * 12.75) for value in pictures[..., 0, 0, 0].flatten()]


def test_windows_draw_so_many_references_outside_the_window() -> None:
    config = WindowConfig(frames=2, margin=1, augment=False)
    batch = Windows([counting(12), counting(12)], config, batch=4, seed=0, needs=NEEDS)[0]
    assert batch.references is not None and batch.references.shape == (4, 2, 3, 3, 8, 8)
    for row in range(4):
        first = numbers(batch.faces[row])[0]
        shown = numbers(batch.references[row])
        assert shown[:3] == shown[3:] and numbers(batch.reference[row]) == shown[:1] * 2
        assert not set(shown) & set(range(first - 1, first + 3))


def test_some_windows_have_one_frame_for_all_references() -> None:
    config = WindowConfig(frames=2, margin=1, augment=False, single_reference=0.5)
    batch = Windows([counting(12)], config, batch=32, seed=0, needs=NEEDS)[0]
    assert batch.references is not None
    kinds = {len(set(numbers(row))) == 1 for row in batch.references}
    assert kinds == {True, False}
    with fails(ValueError, "single_reference"):
        WindowConfig(single_reference=1.5)


def test_one_reference_is_drawn_as_ever() -> None:
    config = WindowConfig(frames=2, augment=False)
    plain, several = (Windows([counting(12)], config, batch=2, seed=5, needs=needs)[3] for needs in (Needs(), NEEDS))
    assert plain.references is None and numbers(plain.faces)[:2] == numbers(several.faces)[:2]


def test_a_window_spreads_them_over_the_rest_of_the_clip() -> None:
    batch = window(counting(12), 4, 2, 0, NEEDS)
    assert batch.references is not None and numbers(batch.references[0, 0]) == [0, 3, 8]
    assert numbers(window(counting(12), 4, 2, [9, 1, 2], NEEDS).references[0, 0]) == [9, 1, 2]  # type: ignore[index]
    both = stack([batch, window(counting(12), 2, 2, 0, NEEDS)])
    assert both.references is not None and both.references.shape[0] == 2


def test_what_is_told_goes_with_its_frames() -> None:
    batch = replace(window(counting(12), 4, 2, 0, NEEDS), motion=torch.arange(8.0).reshape(1, 2, 4))
    one = batch.frame(1, None)
    assert one.motion is not None and one.motion.tolist() == [[[4, 5, 6, 7]]] and one.references is not None
    assert torch.equal(one.references, batch.references[:, 1:])  # type: ignore[index]
    for same in (batch.rows(slice(0, 1)), batch.to("cpu")):
        assert torch.equal(same.motion, batch.motion) and torch.equal(same.references, batch.references)  # type: ignore[arg-type]


def test_what_does_not_belong_to_the_frames_is_refused() -> None:
    batch = window(counting(12), 4, 2, 0, NEEDS)
    for changes in ({"motion": torch.zeros(1, 3, 4)}, {"references": torch.zeros(1, 2, 3, 3, 9, 9)}):
        with fails(ValueError, "faces (1, 2, 3, 8, 8)"):
            replace(batch, **changes)
    with fails(ValueError, "references"):
        Needs(references=0)
