"""Lips get the person's colour, of whatever shape the mouth is; skin, teeth and the dark between lips stay."""

import cv2
import numpy as np
import pytest

from core.arrays import Picture
from face_detection.lip_colour import LipColour

SKIN, PINK, LIPSTICK, TEETH = (205, 170, 150), (190, 120, 115), (170, 40, 55), (225, 220, 210)


def face(lips: tuple[int, int, int], opening: int, size: int = 128) -> Picture:
    """A face of skin, with a mouth that shows teeth."""
    picture = np.full((128, 128, 3), SKIN, np.uint8)
    cv2.ellipse(picture, (64, 98), (20, 6 + opening), 0, 0, 360, lips, -1)
    cv2.ellipse(picture, (64, 98), (15, opening), 0, 0, 360, TEETH, -1)
    return np.asarray(cv2.resize(picture, (size, size)), np.uint8)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_lips_get_the_colour_whatever_they_say(size: int) -> None:
    pairs = [(face(LIPSTICK, opening, size), face(PINK, opening + 1, size)) for opening in (2, 4, 6)]
    colour = LipColour.between(*zip(*pairs, strict=True))
    drawn, wanted = face(PINK, 9, size), face(LIPSTICK, 9, size)
    coloured = colour.over(drawn)
    lips = (drawn == PINK).all(axis=2)
    before, after = (np.abs(one[lips].astype(float) - wanted[lips]).mean() for one in (drawn, coloured))
    assert after < 0.25 * before
    others = (drawn == SKIN).all(axis=2) | (drawn == TEETH).all(axis=2)
    assert np.array_equal(coloured[others], drawn[others])


def test_lips_that_are_right_stay_to_the_bit() -> None:
    faces = [face(PINK, opening) for opening in (1, 3, 5)]
    assert np.array_equal(LipColour.between(faces, faces).over(faces[1]), faces[1])


def test_teeth_in_place_of_lips_say_nothing_of_their_colour() -> None:
    real, drawn = face(PINK, 9), face(PINK, 0)
    assert np.abs(LipColour.between([real], [drawn]).missing).max() < 3


def test_a_face_without_lips_stays() -> None:
    skin = np.full((128, 128, 3), SKIN, np.uint8)
    assert np.array_equal(LipColour.between([face(LIPSTICK, 3)], [face(PINK, 3)]).over(skin), skin)
