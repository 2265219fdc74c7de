"""What tells a hidden mouth is fitted on mouths before which something was drawn."""

import numpy as np
import pytest

from face_detection.alignment import MIRRORED, POINTS, TEMPLATE
from face_detection.landmarks import Found
from scripts.fit_hidden import KINDS, against_own, fitted, hidden


@pytest.mark.parametrize("kind", KINDS)
def test_something_lies_before_the_mouth_and_not_before_the_eyes(kind):
    frame = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    points = np.array(list(TEMPLATE.values()), np.float32) * 120 + 40
    drawn = hidden(frame, Found(points, np.full(len(POINTS), 0.01, np.float32)), kind, np.random.default_rng(1))
    changed = (drawn != frame).any(axis=2)
    x, y = points[7:].mean(axis=0).astype(int)
    assert changed[y - 3 : y + 4, x - 3 : x + 4].mean() > 0.9
    assert not changed[: int(points[0, 1]) + 5].any()


def test_weights_tell_what_raises_the_doubt_of_lips_and_are_the_same_for_both_sides():
    rng = np.random.default_rng(0)

    def clip():
        bare = 0.004 * np.exp(rng.normal(0, 0.01, (12, len(POINTS))))
        covered = bare * np.where(np.arange(len(POINTS)) >= 7, 1.2, 1.0)
        return {kind: (bare if kind == "bare" else covered).astype(np.float32) for kind in ("bare", *KINDS)}

    clips = [clip() for _ in range(5)]
    weights = fitted(clips)
    assert (against_own(clips, "bare") @ weights < 1).all() and (against_own(clips, "hand") @ weights > 1).all()
    assert np.allclose(weights, weights[list(MIRRORED)])
