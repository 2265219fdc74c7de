"""No frame sees its own mouth unless it is asked to, or there is no other."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from face_detection import FaceTrack, cut
from face_detection.box import Box
from lipsync.planning.references import choose_references
from video import read_frames, write_video

BOX = Box(4, 4, 36, 36)


@pytest.fixture
def clip(tmp_path):
    """12 frames, each of its own grey, in two shots of 8 and 4."""
    path = tmp_path / "clip.mp4"
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 40, (40, 40, 1))
    write_video(path, ((noise + 15 * k).astype(np.uint8).repeat(3, 2) for k in range(12)), Fraction(25), crf=1)
    track = FaceTrack(np.tile(BOX.array(), (12, 1)), np.ones(12, bool), shots=(0, 8))
    faces = np.stack([cut(frame, BOX, 32) for frame in read_frames(path)])
    return path, track, faces


def seen_by(path, track, faces, how):
    """The source frame that each frame is shown."""
    references = choose_references(path, track, 32, how, seed=3).of(range(12), faces)
    return [int(np.abs(faces.astype(int) - r).mean(axis=(1, 2, 3)).argmin()) for r in references]


def test_other_half_of_the_same_shot(clip):
    seen = seen_by(*clip, "other")
    assert all(4 <= r < 8 for r in seen[:4]) and all(0 <= r < 4 for r in seen[4:8])
    assert all(10 <= r < 12 for r in seen[8:10]) and all(8 <= r < 10 for r in seen[10:])
    assert len(set(seen)) == 4


def test_own_first_random(clip):
    assert seen_by(*clip, "gt") == list(range(12))
    assert seen_by(*clip, "first_frame") == [0] * 12
    assert len(set(seen_by(*clip, "random"))) == 1


def test_a_still_has_only_itself(clip):
    path, _, faces = clip
    track = FaceTrack.fixed(1, BOX)
    assert np.array_equal(choose_references(path, track, 32, "other", 0).of([0, 0], faces[[0, 0]]), faces[[0, 0]])


def test_references_in_order_begin_with_the_widest_mouth_and_end_with_the_most_closed(clip):
    path, track, faces = clip

    chosen = choose_references(path, track, 32, "other", 0, count=3, openings=brightness)
    shown = chosen.of(range(12), faces)
    assert shown.shape == (12, 3, 32, 32, 3)
    for k, (three, half) in enumerate(zip(shown[:8], [range(4, 8)] * 4 + [range(4)] * 4, strict=True)):
        levels, known = brightness(three), brightness(faces[list(half)])
        assert (np.diff(levels) <= 0).all(), k
        assert levels[0] > known.mean() >= levels[2]


def test_a_face_that_is_unfit_is_no_reference_where_another_is_there(clip):
    path, track, faces = clip
    unfit = np.zeros(12, np.uint8)
    unfit[[0, 1, 3]] = 1
    assert seen_by(path, replace(track, unfit=unfit), faces, "other")[4:8] == [2] * 4
    unfit[:4] = 1
    assert all(0 <= r < 4 for r in seen_by(path, replace(track, unfit=unfit), faces, "other")[4:8])


@pytest.mark.parametrize("count", [1, 3])
def test_what_hides_a_mouth_is_not_shown_where_other_frames_are_free_of_it(clip, count):
    """Frames are known by their grey: 4 to 6 of the first shot are hidden, all of the second, 9 and 11 less."""
    path, track, faces = clip
    hidden_at = {4: 0.6, 5: 0.4, 6: 0.3, 8: 0.9, 9: 0.5, 10: 0.9, 11: 0.5}

    def hidden(picture, box):
        return hidden_at.get(round((picture[:40, :40].mean() - first.mean()) / 15), 0.0)

    first = next(iter(read_frames(path)))
    more = {"count": count, "openings": brightness, "hidden": hidden} if count > 1 else {"hidden": hidden}
    seen = choose_references(path, track, 32, "other", 0, **more).of(range(12), faces).reshape(12, count, 32, 32, 3)
    shown = [{int(np.abs(faces.astype(int) - one).mean(axis=(1, 2, 3)).argmin()) for one in some} for some in seen]
    assert all(frames == {7} for frames in shown[:4])  # the only free one of its half
    assert all(frames <= {0, 1, 2, 3} for frames in shown[4:8])
    assert shown[8:10] == [{11}] * 2 and shown[10:] == [{9}] * 2  # none is free: the least hidden
    free = choose_references(path, track, 32, "other", 0, **{**more, "hidden": lambda *_: 0.0})
    plain = choose_references(path, track, 32, "other", 0, **{**more, "hidden": None})
    assert np.array_equal(free.crops, plain.crops)


def brightness(pictures):
    """What stands for how far a mouth is open."""
    return pictures.mean(axis=(1, 2, 3))


AWAY = [k for k in range(50, 100) if k % 3 == 0]


@pytest.fixture
def turning(tmp_path):
    """100 frames, each of its own grey, of a head that looks away in every third frame of the second half."""
    path = tmp_path / "turning.mp4"
    noise = np.random.default_rng(0).integers(0, 20, (40, 40, 1))
    write_video(path, ((noise + 2 * k).astype(np.uint8).repeat(3, 2) for k in range(100)), Fraction(25), crf=1)
    alike = np.zeros((100, 17), np.float32)
    alike[AWAY, 0] = 8
    return path, FaceTrack(np.tile(BOX.array(), (100, 1)), np.ones(100, bool), alike=alike)


def shown_to(path, track, count=4):
    """The source frames that each frame is shown."""
    faces = np.stack([cut(frame, BOX, 32) for frame in read_frames(path)])
    chosen = choose_references(path, track, 32, "other", 0, count=count, openings=brightness)
    found = chosen.of(range(100), faces)
    return [[int(np.abs(faces.astype(int) - r).mean(axis=(1, 2, 3)).argmin()) for r in some] for some in found]


def test_references_are_of_the_other_half_and_alike_in_pose_and_light(turning):
    shown = shown_to(*turning)
    for frame, seen in enumerate(shown):
        assert all((k >= 50) == (frame < 50) for k in seen)
        assert seen == sorted(seen, reverse=True) and len(set(seen)) == 4  # the brighter, the wider open
    assert not set(shown[0]) & set(AWAY)
    assert shown[0][0] > 87 and shown[0][3] < 63  # as far apart as the mouth opens
    assert min(min(seen) for seen in shown[:50]) >= 53 and max(max(seen) for seen in shown[50:]) <= 46  # never near
    assert all(seen == shown[0] for seen in shown[:50]) and all(seen == shown[-1] for seen in shown[50:])


@pytest.mark.slow
def test_where_nothing_is_known_of_pose_references_are_spread_over_the_half(turning):
    path, track = turning
    plain = shown_to(path, replace(track, alike=None))
    assert set(plain[0]) & set(AWAY)
    nothing = np.full((100, 17), np.nan, np.float32)
    assert shown_to(path, replace(track, alike=nothing)) == plain


def test_of_frames_that_are_alike_the_sharper_ones_are_shown(tmp_path):
    def frames():
        noise = np.random.default_rng(0).integers(0, 60, (40, 40, 1))
        for k in range(80):
            fine = noise if k % 3 == 0 else np.full_like(noise, 30)  # two of three are blurred
            yield (fine + 2 * k).astype(np.uint8).repeat(3, 2)

    path = tmp_path / "blurred.mp4"
    write_video(path, frames(), Fraction(25), crf=1)
    track = FaceTrack(np.tile(BOX.array(), (80, 1)), np.ones(80, bool))
    chosen = choose_references(path, track, 32, "other", 0, count=4, openings=brightness)
    assert (chosen.crops.std(axis=(2, 3, 4)) > 10).all()
