"""Detail of a mouth comes from the other half of its shot, from few frames, of which few are held."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from face_detection import Box, FaceTrack
from lipsync.rendering import mouth_exemplars
from lipsync.rendering.mouth_exemplars import COUNT, HELD, MouthExemplars


def made(track: FaceTrack, monkeypatch: pytest.MonkeyPatch) -> tuple[MouthExemplars, Any, list[list[int]]]:
    asked: list[list[int]] = []

    def pick(path: Path, numbers: list[int]) -> Any:
        asked.append(list(numbers))
        return (np.full((120, 160, 3), number % 250, np.uint8) for number in numbers)

    monkeypatch.setattr(mouth_exemplars, "pick_frames", pick)
    return MouthExemplars(Path("person.mp4"), 32), SimpleNamespace(track=track), asked


def test_a_frame_sees_mouths_of_the_other_half_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    exemplars, turn, asked = made(FaceTrack.fixed(200, Box(20, 20, 90, 90)), monkeypatch)
    first, again, second = (exemplars.of(turn, source) for source in (0, 99, 100))
    assert first is again is not None and first is not second and first.factor == 2
    assert len(asked) == 2 and all(len(numbers) == COUNT for numbers in asked)
    assert min(asked[0]) > 105 and max(asked[1]) < 95


def test_few_halves_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    track = replace(FaceTrack.fixed(100, Box(20, 20, 90, 90)), shots=tuple(range(0, 100, 10)))
    exemplars, turn, asked = made(track, monkeypatch)
    for source in range(100):
        assert exemplars.of(turn, source) is not None
    assert len(asked) == 20 and len(exemplars._held) == HELD


def test_a_shot_of_one_frame_has_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    exemplars, turn, asked = made(FaceTrack.fixed(1, Box(20, 20, 90, 90)), monkeypatch)
    assert exemplars.of(turn, 0) is None and asked == []
