"""Promises about several people: who is who over time and across cuts, and who is meant."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from core.errors import BadValue, NoFace
from face_detection import FaceQuery, Faces, FaceTrack, Sightings, find_faces, search
from face_detection.faces import MOST
from tests.helpers.failing import fails
from tests.helpers.painted import HEIGHT, WIDTH, Painted, scene

FPS = Fraction(25)


def faces(clip: Sequence[np.ndarray]) -> Faces:
    return find_faces(Sightings.joined(list(search(clip, Painted()))))


def xs(track: FaceTrack) -> list[float]:
    """The left edges, rounded; -1 where nobody is."""
    return [-1 if np.isnan(x) else round(float(x)) for x in track.boxes[:, 0]]


def test_two_people_are_two_tracks_the_larger_first():
    found = faces([scene(red=(10, 10, 40), blue=(100, 20, 30)) for _ in range(30)])
    assert [set(xs(track)) for track in found.tracks] == [{10}, {100}]


def test_people_who_pass_each_other_stay_themselves():
    clip = [scene(red=(5 + 2 * k, 5, 30), blue=(110 - 2 * k, 50, 30)) for k in range(50)]
    by_first = {xs(track)[0]: xs(track) for track in faces(clip).tracks}
    assert by_first == {5: [5 + 2 * k for k in range(50)], 110: [110 - 2 * k for k in range(50)]}


def test_who_leaves_and_returns_elsewhere_is_the_same_and_who_takes_the_place_is_not():
    """Red goes, blue comes to red's place, red returns on the other side."""
    clip = [
        *[scene(red=(10, 20, 40)) for _ in range(30)],
        *[scene() for _ in range(10)],
        *[scene(blue=(10, 20, 40)) for _ in range(20)],
        *[scene(blue=(10, 20, 40), red=(100, 20, 40)) for _ in range(30)],
    ]
    red, blue = faces(clip).tracks
    assert xs(red) == [10] * 30 + [-1] * 30 + [100] * 30
    assert xs(blue) == [-1] * 40 + [10] * 50


def test_people_are_recognised_across_cuts():
    """Shot, countershot, and both from farther away."""
    clip = [
        *[scene(seed=1, red=(20, 20, 50)) for _ in range(20)],
        *[scene(seed=2, blue=(80, 20, 45)) for _ in range(20)],
        *[scene(seed=1, red=(24, 20, 50)) for _ in range(20)],
        *[scene(seed=3, blue=(100, 30, 30), red=(10, 30, 36)) for _ in range(20)],
    ]
    found = faces(clip)
    assert found.shots == (0, 20, 40, 60)
    red, blue = found.tracks
    assert xs(red) == [20] * 20 + [-1] * 20 + [24] * 20 + [10] * 20
    assert xs(blue) == [-1] * 20 + [80] * 20 + [-1] * 20 + [100] * 20


def test_a_search_of_a_part_says_nothing_about_the_rest():
    clip = [scene(red=(20, 20, 50)) for _ in range(100)]
    (block,) = search(clip[80:], Painted(), start=80, before=clip[76:80])
    (track,) = find_faces(block).tracks
    assert xs(track) == [-1] * 80 + [20] * 20


def test_nobody_and_too_many():
    assert len(faces([scene()] * 10)) == 0
    clip = [scene(seed=shot, red=(10, 10, 9 + shot)) for shot in range(3) for _ in range(9)]
    assert 1 <= len(faces(clip)) <= MOST


TRIO = [scene(red=(5, 5, 40), green=(66, 35, 24), blue=(110, 40, 30)) for _ in range(25)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("largest", 5),
        ("center", 66),
        ("index:0", 5),
        ("index:1", 110),
        ("index:2", 66),
        ("point:120,50", 110),
        ("point:20.5,30", 5),
        ("point:90,90@0.5", 66),
        ("point:0,0@99", 5),
    ],
)
def test_selection(text, left):
    chosen = FaceQuery.parse(text).choose(faces(TRIO), (HEIGHT, WIDTH), FPS)
    assert set(xs(chosen)) == {left}


def test_a_point_in_time_means_who_is_there_then():
    clip = [*[scene(red=(5, 5, 40))] * 20, *[scene(blue=(5, 5, 30))] * 20]
    found = faces(clip)
    for seconds, side in ((0.2, 40), (1.2, 30)):
        track = FaceQuery.parse(f"point:10,10@{seconds}").choose(found, (HEIGHT, WIDTH), FPS)
        assert round(float(np.nanmax(track.boxes[:, 3]))) == 5 + side


@pytest.mark.parametrize(
    ("text", "shown", "side"),
    [
        ("largest", (0, 12), 20), ("largest", (38, 50), 40), ("largest", (0, 80), 40), ("largest", (17, 18), 20),
        ("largest", (30, 36), 40),  # nobody is in these: by all that was searched
        ("center", (0, 12), 20), ("center", (40, 52), 40), ("point:20,20", (0, 12), 20), ("point:20,20", (45, 80), 40),
    ],
)  # fmt: skip
def test_the_frames_that_are_shown_decide(text: str, shown: tuple[int, int], side: int):
    clip = [*[scene(red=(10, 10, 20))] * 25, *[scene()] * 15, *[scene(blue=(5, 5, 40))] * 40]
    found = find_faces(Sightings.joined(list(search(clip, Painted()))), shown)
    chosen = FaceQuery.parse(text).choose(found, (HEIGHT, WIDTH), FPS)
    assert round(float(np.nanmax(chosen.boxes[:, 2] - chosen.boxes[:, 0]))) == side


@pytest.mark.parametrize("text", ["biggest", "index:-1", "index:x", "point:1", "point:1,2@", "person.mp4", ""])
def test_an_unknown_selector_is_refused(text):
    with fails(BadValue, "--face"):
        FaceQuery.parse(text)


@pytest.mark.parametrize(("text", "named"), [("index:3", "--face index:3"), ("point:1,89", "--face point")])
def test_a_selector_that_fits_nobody_says_so(text, named):
    with fails(NoFace, named, "--list_faces"):
        FaceQuery.parse(text).choose(faces(TRIO), (HEIGHT, WIDTH), FPS)


def test_no_face_at_all_and_none_at_that_time():
    with fails(NoFace, "--box"):
        FaceQuery("largest").choose(faces([scene()] * 9), (HEIGHT, WIDTH), FPS)
    clip = [*[scene(red=(5, 5, 40))] * 20, *[scene()] * 20]
    with fails(NoFace, "--face", "1.5 s"):
        FaceQuery.parse("point:5,5@1.5").choose(faces(clip), (HEIGHT, WIDTH), FPS)
