"""Promises of a FaceTrack: gaps are bridged, nothing lags, nothing is mixed across a cut."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from face_detection import Box, FaceTrack, voxceleb2_box
from tests.helpers.failing import fails


def track(centres: np.ndarray, *, size: float = 40.0, absent: tuple[int, ...] = (), shots=(0,)) -> FaceTrack:
    """A square face at (x, x / 2) per frame."""
    middles = np.stack([centres, centres / 2], axis=1)
    boxes = np.concatenate([middles - size / 2, middles + size / 2], axis=1).astype(np.float32)
    boxes[list(absent)] = np.nan
    return FaceTrack(boxes, ~np.isnan(boxes[:, 0]), shots)


def middles(t: FaceTrack) -> np.ndarray:
    return (t.boxes[:, 0] + t.boxes[:, 2]) / 2


def test_a_short_gap_is_bridged_by_a_line_and_a_long_one_stays():
    t = track(np.arange(60.0), absent=(*range(10, 14), *range(30, 50)))
    filled = t.filled(6)
    assert filled.missing() == [(30, 49)]
    assert_allclose(middles(filled)[10:14], range(10, 14), atol=1e-4)
    assert_array_equal(filled.seen, t.seen)
    assert t.missing() == [(10, 13), (30, 49)]


def test_a_gap_at_the_end_of_a_shot_is_held_and_never_bridged_across_the_cut():
    t = track(np.r_[np.full(10, 100.0), np.full(10, 300.0)], absent=(0, 1, 8, 9, 10, 19), shots=(0, 10))
    assert_allclose(middles(t.filled(3)), np.r_[np.full(10, 100.0), np.full(10, 300.0)])


def test_a_shot_without_a_face_stays_without():
    t = track(np.full(20, 100.0), absent=tuple(range(10, 14)), shots=(0, 10, 14))
    assert t.filled(12).missing() == [(10, 13)]


def test_a_moving_face_does_not_lag_not_even_at_the_ends():
    centres = 7.0 * np.arange(40)
    assert_allclose(middles(track(centres).smoothed()), centres, atol=1e-3)


def test_tremble_goes_and_outliers_go():
    random = np.random.default_rng(0)
    centres = 100 + random.normal(0, 1, 200)
    centres[50] += 60
    smoothed = middles(track(centres).smoothed())
    assert np.abs(np.diff(smoothed)).std() < 0.2 * np.abs(np.diff(np.delete(centres, 50))).std()
    assert abs(smoothed[50] - 100) < 2


def test_nothing_is_mixed_across_a_cut_or_a_gap():
    centres = np.r_[np.full(15, 100.0), np.full(15, 300.0), np.full(15, 100.0)]
    t = track(centres, absent=(29,), shots=(0, 15, 30))
    smoothed = t.smoothed()
    assert_allclose(middles(smoothed)[t.present], centres[t.present], atol=1e-3)
    assert smoothed.missing() == [(29, 29)]


def test_methods_leave_the_track_alone():
    t = track(np.arange(20.0), absent=(5,))
    before = t.boxes.copy()
    t.filled(3).smoothed()
    assert_array_equal(t.boxes, before)


def test_the_fixed_track_has_voxceleb2s_margins_in_every_frame():
    assert voxceleb2_box(224, 224).corners == (50, 0, 174, 158)
    assert voxceleb2_box(256, 200).corners == (45, 0, 155, 256 - 75)
    t = FaceTrack.fixed(5, voxceleb2_box(224, 224))
    assert len(t) == 5 and t.present.all() and t.seen.all() and t.missing() == []
    assert t.box(4) == Box(50, 0, 174, 158)
    assert t.smoothed().box(2).corners == pytest.approx(t.box(2).corners, abs=1e-9)


def test_beyond_its_own_frames_a_track_knows_nobody():
    track = FaceTrack.fixed(3, Box(1, 2, 5, 8)).extended(5)
    assert len(track) == 5 and [track.box(k) for k in range(5)] == [Box(1, 2, 5, 8)] * 3 + [None] * 2
    assert track.missing() == [(3, 4)] and track.seen.tolist() == [True] * 3 + [False] * 2


def test_short_and_empty_tracks_are_fine():
    for n in range(4):
        t = track(np.arange(float(n)))
        assert len(t.filled().smoothed()) == n and t.missing() == []
    nowhere = track(np.arange(5.0), absent=tuple(range(5)))
    assert nowhere.filled().smoothed().missing() == [(0, 4)]
    assert nowhere.box(2) is None


def test_an_inconsistent_track_is_refused():
    good = track(np.arange(5.0))
    with fails(ValueError, "shots"):
        FaceTrack(good.boxes, good.seen, (0, 5))
    with fails(ValueError, "shots"):
        FaceTrack(good.boxes, good.seen, (2,))
    with fails(ValueError, "boxes", "seen"):
        FaceTrack(good.boxes[:4], good.seen)
    with fails(ValueError, "NaN"):
        FaceTrack(np.full((5, 4), np.nan, np.float32), good.seen)
    with fails(ValueError, "boxes", "finite"):
        FaceTrack(good.boxes[:, ::-1].copy(), good.seen)
