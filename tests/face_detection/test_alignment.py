"""Faces in one pose: cut upright, pasted back where they were, the same wherever the head was and however it tilted."""

import cv2
import numpy as np
import pytest

from face_detection import Box, FaceTrack, align, cut, find_points, make_layer, paste
from face_detection.alignment import MIRRORED, POINTS, TALL, TEMPLATE, aligned_box, aligned_boxes, steadied
from face_detection.landmarks import Found, LandmarkNetwork, from_square, seen_around

SIZE = 64


def scene(height=240, width=320):
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    waves = np.sin(columns / 17), np.cos(rows / 13), np.sin((rows + columns) / 23)
    return (128 + 95 * np.stack(waves, axis=2)).astype(np.uint8)


def template(box):
    """Where the points of a face lie whose aligned box is this one."""
    shares = np.array(list(TEMPLATE.values())) / [1, TALL]
    square = np.array(box.centre) + _turned((shares - 0.5) * [box.width, box.height], box.angle)
    return square.astype(np.float32)


def _turned(places, degrees):
    angle = np.radians(degrees)
    return places @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize("angle", [-40.0, -3.0, 0.0, 12.5, 90.0])
def test_a_box_follows_its_points(angle):
    box = Box.centred(150, 110, 60, 60 * TALL, angle)
    found = aligned_box(aligned_boxes(template(box)[None])[0])
    assert np.allclose(found.corners, box.corners, atol=1e-3) and found.angle == pytest.approx(angle, abs=1e-3)


def test_the_mouth_has_no_say():
    points = template(Box.centred(150, 110, 60, 76, 5))
    speaking = points.copy()
    speaking[7:] += 9
    assert np.array_equal(aligned_boxes(points[None]), aligned_boxes(speaking[None]))


def test_the_template_is_its_own_mirror_image():
    places = np.array(list(TEMPLATE.values()))
    assert np.allclose(places[list(MIRRORED)] * [-1, 1] + [1, 0], places)


@pytest.mark.parametrize("angle", [20.0, -35.0])
def test_a_turned_head_is_cut_as_an_upright_one(angle):
    frame, upright = scene(), Box.centred(160, 120, 70, 90)
    matrix = cv2.getRotationMatrix2D((159.5, 119.5), -angle, 1)
    turned = cv2.warpAffine(frame, matrix, (320, 240), flags=cv2.INTER_CUBIC)
    one, other = cut(frame, upright, SIZE), cut(turned, Box.centred(160, 120, 70, 90, angle), SIZE)
    assert np.abs(one.astype(int) - other).mean() < 2


def test_a_small_angle_is_nearly_none():
    frame = scene()
    one, other = (cut(frame, Box.centred(160.3, 120.7, 70, 90, angle), SIZE) for angle in (0.0, 1e-3))
    assert np.abs(one.astype(int) - other).mean() < 1


@pytest.mark.parametrize("side", [40.0, 64.0, 150.0])
def test_what_was_cut_is_pasted_back(side):
    frame, mask = scene(), np.zeros((SIZE, SIZE), np.float32)
    mask[20:50, 15:50] = 1
    box = Box.centred(160, 120, side, side * TALL, 25)
    pasted = paste(frame, cut(frame, box, SIZE), box, mask)
    assert np.abs(pasted.astype(int) - frame).mean() < 0.5 and np.abs(pasted.astype(int) - frame).max() < 40


def test_outside_the_mask_nothing_changes():
    frame, mask = scene(), np.zeros((SIZE, SIZE), np.float32)
    mask[40:60, 20:44] = 1
    box = Box.centred(160, 120, 80, 100, -30)
    pasted = paste(frame, np.full((SIZE, SIZE, 3), 255, np.uint8), box, mask)
    changed = (pasted != frame).any(axis=2)
    assert changed.any()
    rows, columns = np.nonzero(changed)
    places = _turned(np.stack([columns + 0.5, rows + 0.5], axis=1) - box.centre, 30) / [80, 100] + 0.5
    assert (places[:, 0] * SIZE > 18.5).all() and (places[:, 0] * SIZE < 45.5).all()
    assert (places[:, 1] * SIZE > 38.5).all() and (places[:, 1] * SIZE < 61.5).all()


@pytest.mark.parametrize("x", [-500.0, -20.0, 330.0, 900.0])
def test_a_box_may_leave_the_frame(x):
    frame, box = scene(), Box.centred(x, 120, 80, 100, 15)
    crop = cut(frame, box, SIZE)
    assert crop.shape == (SIZE, SIZE, 3)
    layer = make_layer(crop, box, np.ones((SIZE, SIZE), np.float32), 240, 320)
    assert layer.over(frame).shape == frame.shape


def test_steadied_tracks_follow_a_line_and_lose_their_tremble():
    rng = np.random.default_rng(0)
    line = np.stack([np.linspace(0, 60, 40), np.full(40, 50.0), np.full(40, 80.0), np.linspace(170, 190, 40)], axis=1)
    assert np.allclose(steadied(line), line)
    noisy = line + rng.normal(0, 1, line.shape)
    assert np.abs(steadied(noisy) - line).mean() < 0.6 * np.abs(noisy - line).mean()


class Finder:
    """Knows where the points are; doubts what it is told to doubt."""

    def __init__(self, boxes, doubtful=()):
        self.boxes, self.doubtful, self.asked = boxes, doubtful, 0

    def find(self, frame, box):
        number = int(frame[0, 0, 0])
        return Found(template(self.boxes[number]), np.full(len(POINTS), 1.0 if number in self.doubtful else 0.01))


def numbered(frames):
    return ((k, np.full((8, 8, 3), k, np.uint8)) for k in range(frames))


def test_a_track_is_aligned_and_what_is_doubtful_lies_between():
    boxes = [Box.centred(100 + k, 90, 50, 50 * TALL, k) for k in range(30)]
    track = FaceTrack.fixed(30, Box(70, 60, 130, 130))
    found = align(track, find_points(track, numbered(30), Finder(boxes, doubtful=(10, 11, 12))), 1.0)
    for k, box in enumerate(boxes):
        assert np.allclose(found.box(k).corners, box.corners, atol=0.05)
        assert found.box(k).angle == pytest.approx(k, abs=0.05)


def test_where_nothing_is_believed_a_face_stays_upright_at_its_place():
    track = FaceTrack.fixed(5, Box(70, 60, 130, 130))
    finder = Finder([Box.centred(5, 5, 9, 9, 80)] * 5, doubtful=range(5))
    found = align(track, find_points(track, numbered(5), finder), 1.0)
    box = found.box(2)
    assert box.centre == pytest.approx((100, 95)) and box.angle == 0 and box.height == pytest.approx(70)


def test_cuts_and_gaps_are_not_mixed():
    boxes = [Box.centred(100, 90, 50, 50 * TALL, -20 if k < 10 else 20) for k in range(20)]
    track = FaceTrack(np.tile(np.float32([70, 60, 130, 130]), (20, 1)), np.ones(20, bool), (0, 10))
    found = align(track, find_points(track, numbered(20), Finder(boxes)), 1.0)
    assert np.allclose(found.angles[:10], -20) and np.allclose(found.angles[10:], 20)
    assert len(found.extended(25).angles) == 25


def test_places_in_a_square_are_places_in_the_frame():
    box = Box.centred(100, 80, 50, 60, 30)
    square = seen_around(box)
    assert np.allclose(from_square(np.float32([[0.5, 0.5]]), square), [[100, 80]])
    right = [100, 80] + _turned(np.array([square.width / 2, 0]), 30)
    assert np.allclose(from_square(np.float32([[1.0, 0.5]]), square)[0], right)


def test_the_network_says_points_and_doubt():
    import torch

    places, doubt = LandmarkNetwork()(torch.zeros(2, 3, 96, 96))
    assert places.shape == (2, len(POINTS), 2) and doubt.shape == (2, len(POINTS))
