"""Detail of a mouth comes from the other half of its shot, from few frames, of which few are held."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from face_detection import Box, FaceTrack
from lipsync.rendering.mouth_exemplars import COUNT, HELD, MouthExemplars


def made() -> tuple[MouthExemplars, list[list[int]]]:
    """With the frames that it asks for."""
    asked: list[list[int]] = []

    def pick(numbers: list[int]) -> Iterator[np.ndarray]:
        asked.append(list(numbers))
        return (np.full((120, 160, 3), number % 250, np.uint8) for number in numbers)

    return MouthExemplars(pick, 32), asked


def test_a_frame_sees_mouths_of_the_other_half_alone() -> None:
    exemplars, asked = made()
    track = FaceTrack.fixed(200, Box(20, 20, 90, 90))
    first, again, second = (exemplars.of(track, source) for source in (0, 99, 100))
    assert first is again is not None and first is not second and first.factor == 2
    assert len(asked) == 2 and all(len(numbers) == COUNT for numbers in asked)
    assert min(asked[0]) > 105 and max(asked[1]) < 95


def test_few_halves_are_held() -> None:
    track = replace(FaceTrack.fixed(100, Box(20, 20, 90, 90)), shots=tuple(range(0, 100, 10)))
    exemplars, asked = made()
    for source in range(100):
        assert exemplars.of(track, source) is not None
    assert len(asked) == 20 and len(exemplars._of_half._held) == HELD


def test_a_shot_of_one_frame_has_no_others() -> None:
    exemplars, asked = made()
    assert exemplars.of(FaceTrack.fixed(1, Box(20, 20, 90, 90)), 0) is None and asked == []
