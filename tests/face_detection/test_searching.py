"""Promises of a search and of the one track it gives: cuts found, skipped frames cost nothing and change nothing."""

import threading
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.errors import BadInput
from face_detection import Detection, FaceTrack, track_face
from face_detection.searching import search
from face_detection.shots import ChangeMeter, shot_starts
from face_detection.sightings import Sightings
from tests.helpers.failing import fails
from tests.helpers.painted import HEIGHT, WIDTH, Painted, scene


def frame(face: tuple[int, int] | None = None, other: tuple[int, int] | None = None, *, seed: int = 0) -> np.ndarray:
    """A grey background of its own per seed, a red face of 30 at (x, y), a green one of 20."""
    return scene(seed=seed, green=other and (*other, 20), red=face and (*face, 30))


def middles(track: FaceTrack) -> np.ndarray:
    return (track.boxes[:, 0] + track.boxes[:, 2]) / 2


def test_a_still_face_is_looked_at_in_every_fifth_frame_only():
    detector = Painted()
    track = track_face((frame((50, 30)) for _ in range(201)), detector)
    assert detector.looked_at == 17 + 17 + 9  # each block of 80 frames closes with a look
    assert track.present.all() and track.shots == (0,)
    assert_allclose(track.boxes, np.tile(np.float32([50, 30, 80, 60]), (201, 1)))


def test_a_moving_face_is_looked_at_in_every_frame_and_followed():
    places = [10 + 4 * k if k < 25 else 110 - 3 * (k - 25) for k in range(50)]
    detector = Painted()
    track = track_face((frame((x, 30)) for x in places), detector)
    assert detector.looked_at == 50
    assert_allclose(middles(track), np.array(places) + 15)


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_the_size_of_the_batch_changes_nothing(batch):
    places = [40 + int(30 * np.sin(k / 9)) for k in range(83)]
    reference = track_face((frame((x, 30)) for x in places), Painted(), batch=7)
    track = track_face((frame((x, 30)) for x in places), Painted(), batch=batch)
    assert_array_equal(track.boxes, reference.boxes)
    assert track.shots == reference.shots


def test_frames_without_the_face_are_reported_to_the_frame():
    faces = [None if 33 <= k <= 47 else (50, 30) for k in range(80)]
    assert track_face((frame(place) for place in faces), Painted()).missing() == [(33, 47)]


def test_a_cut_is_found_and_the_faces_on_both_sides_are_not_mixed():
    clip = [frame((20, 30), seed=1)] * 33 + [frame((100, 20), seed=2)] * 28
    track = track_face(clip, Painted())
    assert track.shots == (0, 33)
    assert_allclose(middles(track), [35] * 33 + [115] * 28)
    assert_allclose(middles(track.filled().smoothed()), [35] * 33 + [115] * 28, atol=1e-3)


def test_one_identity_the_larger_face_though_the_other_comes_first():
    clip = [frame((50, 30), (120, 10 + k // 4)) if k > 10 else frame(None, (120, 10)) for k in range(60)]
    track = track_face(clip, Painted())
    assert_allclose(middles(track)[track.present & (np.arange(60) > 10)], 65)
    assert (middles(track)[11:] == 65).all()


def test_a_chance_alarm_is_not_a_face():
    clip = [frame(None, (20, 20) if k == 10 else None) for k in range(40)]
    assert track_face(clip, Painted()).missing() == [(0, 39)]


def test_a_face_that_was_away_is_taken_up_again_elsewhere():
    clip = [frame((10, 30) if k < 30 else None if k < 50 else (110, 30)) for k in range(90)]
    track = track_face(clip, Painted())
    assert track.missing() == [(30, 49)]
    assert_allclose(middles(track)[50:], 125)


def test_detection_sees_small_frames_and_boxes_come_back_in_full_size():
    big = frame((50, 30)).repeat(6, 0).repeat(6, 1)  # 960 wide, looked at with 640
    track = track_face([big] * 6, Painted())
    assert_allclose(track.boxes, np.tile(np.float32([300, 180, 480, 360]), (6, 1)))


def test_memory_is_bounded_frames_are_let_go():
    read: list[weakref.ref[np.ndarray]] = []

    def clip() -> Iterator[np.ndarray]:
        for _ in range(600):
            picture = frame((50, 30))
            read.append(weakref.ref(picture))
            yield picture
            del picture
            assert sum(one() is not None for one in read) < 4 * 80  # while one block is searched two more may be read

    detector = Painted()
    track_face(clip(), detector, batch=4)
    assert detector.largest_batch <= 4


def test_one_frame_and_none():
    assert track_face([frame((50, 30))], Painted()).present.all()
    assert len(track_face([], Painted())) == 0


def starts(frames: Sequence[np.ndarray]) -> tuple[int, ...]:
    meter = ChangeMeter()
    for picture in frames:
        meter.add(picture)
    return shot_starts(meter.take())


def test_a_flash_is_no_cut():
    for length in (1, 2, 3):
        clip = [frame((50, 30))] * 20 + [np.full((HEIGHT, WIDTH, 3), 250, np.uint8)] * length + [frame((50, 30))] * 20
        assert starts(clip) == (0,)


def test_a_waving_hand_is_no_cut():
    clip = []
    for k in range(60):
        picture = frame((50, 30))
        x = int(50 + 45 * np.sin(k))
        picture[10:80, x : x + 50] = (225, 180, 150)
        clip.append(picture)
    assert starts(clip) == (0,)


def test_quick_cuts_are_all_found():
    clip = [frame(seed=shot) for shot in range(6) for _ in range(8)]
    assert starts(clip) == (0, 8, 16, 24, 32, 40)


def test_a_search_may_be_shared_out_block_by_block():
    clip = [frame((20 + k % 40, 30), seed=k // 100) for k in range(203)]
    whole = Sightings.joined(list(search(clip, Painted())))
    parts = [
        block
        for start, stop in ((0, 80), (80, 160), (160, 203))
        for block in search(clip[start:stop], Painted(), start=start, before=clip[max(start - 4, 0) : start])
    ]
    shared = Sightings.joined(parts)
    for name in ("searched", "frames", "boxes", "scores", "looks"):
        assert_array_equal(getattr(shared, name), getattr(whole, name))
    assert_array_equal(shared.changes, whole.changes)


def test_impossible_settings_are_refused():
    with fails(ValueError, 80, 7):
        list(search([], Painted(), start=7))
    with fails(ValueError, "(0, 1), (80, 81)"):
        Sightings.joined([*search([frame()], Painted()), *search([frame()], Painted(), start=80)])


def test_the_track_is_the_same_every_time():
    clip = [frame((40 + k, 30), (120, 10)) for k in range(30)]
    assert_array_equal(track_face(clip, Painted()).boxes, track_face(clip, Painted()).boxes)


def test_the_next_block_is_read_while_one_is_searched():
    read = threading.Semaphore(0)

    def frames() -> Iterator[np.ndarray]:
        for _ in range(160):
            yield frame((50, 30))
            read.release()

    class Waiting(Painted):
        def detect(self, frames: Sequence[np.ndarray]) -> list[list[Detection]]:
            if self.looked_at == 0:  # its first batch comes back when more was read than the block that it is of
                assert all(read.acquire(timeout=10) for _ in range(120))
            return super().detect(frames)

    assert len(list(search(frames(), Waiting()))) == 2


def test_a_picture_that_cannot_be_read_ends_the_search_and_its_thread():
    def frames() -> Iterator[np.ndarray]:
        yield from [frame((50, 30))] * 85
        raise BadInput("broken")

    blocks = search(frames(), Painted())
    assert next(blocks).stop == 80
    with pytest.raises(BadInput, match="broken"):
        next(blocks)
    abandoned = search((frame((50, 30)) for _ in range(400)), Painted())
    next(abandoned)
    abandoned.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "decode"]
