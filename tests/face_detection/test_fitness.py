"""Where a mouth can be made well: by the points of a face, and the same whoever asks for which frames."""

import hashlib

import numpy as np
import pytest

from face_detection import Box, FaceTrack, assess_fitness, find_points, opacity, unfit_ranges
from face_detection.alignment import MIRRORED, POINTS, RIGID, TALL, TEMPLATE
from face_detection.fitness import FARTHEST, FITTED_FOR, HIDING, NOSE, OUTER_EYES, TIP, UNCLEAR, Reason, unfit, yaw
from face_detection.landmarks import WEIGHTS, Found


def turned(degrees, tilt=0.0):
    """The points of a face whose nose is off by what this yaw says, tilted in the picture, f32 [9, 2]."""
    points = np.array(list(TEMPLATE.values())) * 100
    points[TIP, 0] += np.tan(np.radians(degrees)) / NOSE * (points[OUTER_EYES[1]] - points[OUTER_EYES[0]])[0]
    angle = np.radians(tilt)
    return (points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])).astype(np.float32)


def reasons(yaws, doubts):
    doubt = np.repeat(np.float32(doubts)[:, None], len(POINTS), axis=1)
    return unfit(np.stack([turned(degrees) for degrees in yaws]), doubt, np.zeros(9)).tolist()


@pytest.mark.parametrize("tilt", [0.0, 30.0, -75.0])
def test_yaw_is_that_of_the_nose_however_the_head_is_tilted(tilt):
    degrees = [-50.0, -10.0, 0.0, 35.0]
    assert yaw(np.stack([turned(value, tilt) for value in degrees])) == pytest.approx(degrees, abs=0.01)


def test_a_mirrored_face_is_turned_the_other_way():
    points = turned(25)
    assert yaw((points[list(MIRRORED)] * np.float32([-1, 1]))[None]) == pytest.approx([-25], abs=0.01)


def test_a_face_that_turns_away_is_unfit_until_it_has_turned_back():
    swing = [*range(0, 60, 3), *range(60, 0, -3)]
    found = np.array(reasons(swing, [0.004] * len(swing)))
    away = np.flatnonzero(found == Reason.TURNED)
    assert swing[away[0]] < FARTHEST < max(swing) and np.array_equal(away, np.arange(away[0], away[-1] + 1))
    assert reasons([FARTHEST - 3] * 20, [0.004] * 20) == [0] * 20


def test_one_odd_frame_is_no_reason():
    yaws, doubts = [0.0] * 20, [0.004] * 20
    yaws[9], doubts[14] = 70.0, 1.0
    assert not any(reasons(yaws, doubts))


def test_where_points_are_unsure_of_a_face_it_is_unfit():
    assert reasons([0.0] * 20, [0.004] * 10 + [2 * UNCLEAR] * 10) == [0] * 10 + [Reason.UNCLEAR] * 10
    assert not unfit(np.empty((0, 9, 2), np.float32), np.empty((0, 9), np.float32), np.zeros(9)).size


class Finder:
    """A face that looks to the side in some frames."""

    def __init__(self, away, hidden=()):
        self.away, self.hidden = away, hidden

    def find(self, frame, box):
        number = int(frame[0, 0, 0])
        doubt = np.full(len(POINTS), 0.004 if number < 50 else 0.008, np.float32)
        doubt[RIGID:] *= 1.5 if number < 50 else 1.2  # another shot, another usual
        if number in self.hidden:
            doubt[6:] *= 2.5
        return Found(turned(60 if number in self.away else 3), doubt)


def judged(frames, away, shots=(0,), absent=(), hidden=()):
    boxes = np.tile(np.float32([0, 0, 100, 100 * TALL]), (frames, 1))
    boxes[list(absent)] = np.nan
    track = FaceTrack(boxes, ~np.isnan(boxes[:, 0]), shots)
    pictures = ((k, np.full((4, 4, 3), k, np.uint8)) for k in range(frames) if k not in absent)
    return assess_fitness(track, find_points(track, pictures, Finder(away, hidden)))


def test_a_track_says_where_and_why_it_is_unfit():
    track = judged(60, range(20, 30), absent=range(40, 45))
    assert unfit_ranges(track, 0, 60) == [(20, 29, Reason.TURNED.words)]
    assert unfit_ranges(track, 25, 28) == [(25, 27, Reason.TURNED.words)] and not unfit_ranges(track, 30, 60)
    assert not unfit_ranges(FaceTrack.fixed(5, Box(0, 0, 9, 9)), 0, 5)
    assert len(track.extended(70).unfit) == 70


def test_a_hidden_mouth_is_told_by_the_doubt_of_its_own_shot():
    track = judged(90, (), shots=(0, 50), hidden=[*range(10, 20), 30, *range(60, 70)])
    assert unfit_ranges(track, 0, 90) == [(10, 19, Reason.HIDDEN.words), (60, 69, Reason.HIDDEN.words)]


def test_both_sides_of_a_face_count_alike():
    assert np.array_equal(np.array(HIDING)[list(MIRRORED)], HIDING)


def test_a_mouth_fades_out_and_in_without_a_pop():
    shares = opacity(judged(60, range(25, 35)), 0, 60, 5)
    assert not shares[25:35].any() and (shares[:20] == 1).all() and (shares[40:] == 1).all()
    assert (np.diff(shares[19:26]) < 0).all() and np.abs(np.diff(shares)).max() < 0.3
    assert np.array_equal(shares[:25], shares[35:][::-1])


def test_without_reach_just_the_unfit_frames_are_left_out():
    shares = opacity(judged(60, range(25, 35)), 0, 60, 0)
    assert np.array_equal(shares, np.array([0 if 25 <= k < 35 else 1 for k in range(60)]))


def test_a_lost_face_fades_too_but_not_where_nobody_searched_and_not_across_a_cut():
    track = judged(60, (), shots=(0, 30), absent=[*range(10), *range(26, 30), *range(50, 60)])
    shares = opacity(track, 10, 50, 5)
    assert shares[10] == 1 and 0 < shares[25] < 0.2 and (shares[30:50] == 1).all()


def test_the_fade_of_a_frame_does_not_depend_on_what_else_is_made():
    track = judged(90, range(40, 50))
    assert np.array_equal(opacity(track, 0, 90, 5), opacity(track, 30, 60, 5))


def test_the_weights_are_those_of_the_landmark_network_that_ships() -> None:
    """Another network doubts otherwise: fit HIDING anew by scripts/fit_hidden.py whenever it changes."""
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest().startswith(FITTED_FOR)
