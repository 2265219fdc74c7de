"""Lip motion is landmarks with the head taken out, in a few numbers that go back to landmarks."""

from pathlib import Path

import numpy as np
import torch

from core.errors import Mismatch, NoData, Unreadable
from dataset import save_clip
from systems.style.frontal import RIGID, WANTED, frontal
from systems.style.labels import labelled, landmarks_path, save_landmarks
from systems.style.lip_motion import LOWER_LIP, MIRRORED, POINTS, UPPER_LIP, MotionSpace
from tests.helpers.failing import fails
from tests.helpers.tiny_motion import NUMBERS, mouth, openings, space
from tests.helpers.toy import talking


def turned(points: np.ndarray, angles: tuple[float, float, float], size: float, place: tuple[float, ...]) -> np.ndarray:
    for axis, angle in enumerate(angles):
        one, other = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        points = points @ turn
    return np.asarray(points * size + np.array(place), np.float32)


def test_turn_size_and_place_of_the_head_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    free = rng.normal(size=(len(POINTS), 3))
    face = np.concatenate([np.array(list(RIGID.values())), free])
    heads = [turned(face, (0.2, -0.4, 0.1), 31.0, (70, 80, 5)), turned(face, (0, 0.3, -0.6), 9.0, (1, 2, 3))]
    found = frontal(np.stack([*heads, np.full_like(heads[0], np.nan)]))
    assert found.shape == (3, len(WANTED) - len(RIGID), 2)
    assert np.allclose(found[:2], free[:, :2], atol=1e-4) and np.isnan(found[2]).all()


def test_a_point_and_its_mirror_image_are_each_others() -> None:
    assert [MIRRORED[MIRRORED[k]] for k in range(len(POINTS))] == list(range(len(POINTS)))
    assert MIRRORED[UPPER_LIP] == UPPER_LIP and MIRRORED[LOWER_LIP] == LOWER_LIP


def test_motion_keeps_the_landmarks_that_it_was_fitted_on() -> None:
    made, points = space(), torch.from_numpy(mouth(np.linspace(0, 0.4, 9), 0.1, seed=3))
    motion = made.motion(points)
    assert motion.shape == (9, NUMBERS)
    assert (made.landmarks(motion) - points).abs().mean() < 0.02
    again = made.motion(made.landmarks(motion))
    assert torch.allclose(again, motion, atol=1e-3)


def test_motion_is_in_deviations() -> None:
    made, rng = space(), np.random.default_rng(1)
    opening = rng.uniform(0, 0.4, 200)
    both = np.concatenate([mouth(opening[:100], 0.1), mouth(opening[100:], -0.1, seed=1)])
    mirrored = both[:, MIRRORED] * [-1, 1]
    motion = made.motion(torch.from_numpy(np.concatenate([both, mirrored]).astype(np.float32)))
    assert torch.allclose(motion.mean(dim=0), torch.zeros(NUMBERS), atol=1e-4)
    assert torch.allclose(motion.std(dim=0), torch.ones(NUMBERS), atol=0.01)


def test_opening_is_the_gap_between_the_lips_and_linear() -> None:
    made, wanted = space(), np.linspace(0, 0.4, 9)
    motion = made.motion(torch.from_numpy(mouth(wanted)))
    assert np.corrcoef(made.opening(motion).numpy(), wanted)[0, 1] > 0.9
    points = made.landmarks(motion)
    assert torch.allclose(made.opening(motion), points[:, LOWER_LIP, 1] - points[:, UPPER_LIP, 1], atol=1e-5)
    middle = made.opening((motion[:1] + motion[1:2]) / 2)
    assert torch.allclose(middle, (made.opening(motion[:1]) + made.opening(motion[1:2])) / 2, atol=1e-6)


def test_a_neutral_mouth_is_open_as_usual_and_else_what_it_was() -> None:
    fitted = space()
    motion = torch.randn(5, NUMBERS, generator=torch.Generator().manual_seed(0))
    neutral = fitted.neutral_of(motion)
    assert torch.allclose(fitted.opening(neutral), fitted.opening(torch.zeros(NUMBERS)).expand(5), atol=1e-5)
    assert torch.allclose(fitted.neutral_of(neutral), neutral, atol=1e-5)
    gap = fitted.gap / fitted.gap.norm()
    assert torch.allclose(motion - neutral, (motion @ gap)[:, None] * gap, atol=1e-5)  # nothing else is changed


def test_in_a_mirror_numbers_stay_or_change_their_sign() -> None:
    made = space()
    points = torch.from_numpy(mouth(np.linspace(0, 0.4, 9), 0.1))
    mirrored = points[:, list(MIRRORED)] * torch.tensor([-1.0, 1.0])
    assert torch.allclose(made.motion(mirrored), made.mirrored(made.motion(points)), atol=1e-3)
    assert made.signs.abs().eq(1).all()


def test_distance_is_in_distances_between_the_eyes() -> None:
    made = space()
    still = torch.zeros(NUMBERS)
    points = made.landmarks(still) + torch.tensor([0.0, 0.05])
    assert made.distance(still, still) == 0
    far = (made.landmarks(made.motion(points)) - made.landmarks(still)).norm(dim=-1).mean()
    assert torch.allclose(made.distance(made.motion(points), still), far, atol=1e-6)


def test_a_space_goes_through_a_file(tmp_path: Path) -> None:
    made, path = space(), tmp_path / "space.npz"
    made.save(path)
    again = MotionSpace.load(path, NUMBERS)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in made.state_dict().items())
    with fails(Mismatch, "space.npz", "basis"):
        MotionSpace.load(path, 7)
    with fails(Unreadable, "none.npz", "scripts/fit_motion.py"):
        MotionSpace.load(tmp_path / "none.npz", NUMBERS)
    with fails(ValueError, "3 frames", "4 numbers"):
        MotionSpace.fitted(mouth(np.zeros(3)), np.ones(3), NUMBERS)


def prepared(folder: Path, points: np.ndarray | None) -> Path:
    clip = talking(0, frames=20)
    path = folder / "train" / "ann" / "clip0.npz"
    save_clip(path, clip)
    if points is not None:
        save_landmarks(path, points)
    return path


def test_frames_without_a_face_lie_between_the_others(tmp_path: Path) -> None:
    points = mouth(openings(talking(0, frames=20)))
    points[4] = np.nan
    prepared(tmp_path, points)
    (known,) = labelled(tmp_path, 32, space())["train"]
    assert known.motion.shape == (20, NUMBERS) and known.moves.shape == (20, NUMBERS) and known.speaker == "ann"
    assert torch.allclose(known.motion[4], (known.motion[3] + known.motion[5]) / 2, atol=1e-6)


def test_clips_without_landmarks_or_faces_are_left_out(tmp_path: Path) -> None:
    points = mouth(np.zeros(20))
    points[:5] = np.nan
    for given in (None, points):
        path = prepared(tmp_path, given)
        with fails(NoData, tmp_path, "scripts/fit_motion.py"):
            labelled(tmp_path, 32, space())
    save_landmarks(path, mouth(np.zeros(7)))
    with fails(Mismatch, "clip0.landmarks.npy", 7, 20):
        labelled(tmp_path, 32, space())
    save_landmarks(path, np.zeros((20, 3, 2), np.float32))
    with fails(Unreadable, "clip0.landmarks.npy", "[20, 3, 2]"):
        labelled(tmp_path, 32, space())
    landmarks_path(path).write_bytes(b"?")
    with fails(Unreadable, "clip0.landmarks.npy"):
        labelled(tmp_path, 32, space())
