"""A mouth that the network draws beside its place is brought there, by frames of the video that it draws anew."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from audio import MELS, SILENCE, Mel
from core.arrays import Picture, Pictures
from dataset import MEL, AudioFeatures
from face_detection import Box, FaceTrack, LipColour, displaced
from lipsync.models import Models
from lipsync.planning.halves import evenly_over
from lipsync.planning.references import References
from lipsync.rendering.registration import COUNT, LEAST, Conditioning, Correction, Registration, correction, lit
from lipsync.rendering.renderer import NetworkInputs
from lipsync.settings import Settings
from video import VideoInfo

SIZE = 64
HALF = SIZE // 2
LOWER = slice(HALF + 12, None)  # where what is corrected is corrected wholly


def scene(number: int) -> Picture:
    """A face with marks that stay and a mouth that opens, u8 [64, 64, 3]."""
    noise = np.random.default_rng(3).normal(128, 400, (SIZE, SIZE, 3))
    face = np.clip(cv2.GaussianBlur(noise, (0, 0), 2.5), 0, 255).astype(np.uint8)
    return np.asarray(cv2.ellipse(face, (32, 48), (12, 2 + number % 5), 0, 0, 360, (90, 30, 40), -1), np.uint8)


class Network:
    """Draws the faces that it is shown, their lower half so many pixels lower and so much darker."""

    size = SIZE

    def __init__(self, lower: float, darker: float, grid: int = 8) -> None:
        self.lower, self.darker, self.grid = lower, darker, grid

    def __call__(self, slots: Sequence[int], shown: NetworkInputs) -> Pictures:
        assert max(slots) < self.grid and len(slots) == len(shown.faces) and shown.motion is not None
        return np.stack([self.draw(face) for face in shown.faces])

    def draw(self, face: Picture) -> Picture:
        down = np.array([[1, 0, 0], [0, 1, self.lower]], np.float32)
        moved = cv2.warpAffine(face, down, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        drawn = np.clip(moved.astype(np.float32) - self.darker, 0, 255).astype(np.uint8)
        drawn[:HALF] = face[:HALF]
        return np.asarray(drawn, np.uint8)


def registration(network: Network) -> tuple[Registration, list[list[int]]]:
    """With the frames that it asks for."""
    asked: list[list[int]] = []

    def pick(numbers: list[int]) -> Iterable[Picture]:
        asked.append(list(numbers))
        return (scene(number) for number in numbers)

    def own(frames: Sequence[int], faces: Pictures) -> Conditioning:
        return Conditioning({}, np.zeros((len(faces), 2), np.float32))

    return Registration(pick, network, own), asked  # type: ignore[arg-type]


def track(frames: int) -> FaceTrack:
    return FaceTrack.fixed(frames, Box(0, 0, SIZE, SIZE))


def references(frames: int) -> References:
    return References(np.zeros((1, SIZE, SIZE, 3), np.uint8), np.zeros(frames, np.int64))


def apart(one: Picture, other: Picture) -> float:
    return float(np.abs(one[LOWER].astype(np.float32) - other[LOWER]).mean())


@pytest.mark.parametrize("lower, darker", [(1.5, 0), (-1.2, 0), (0, 9), (1.5, 9)])
def test_what_is_drawn_beside_its_place_comes_to_it(lower: float, darker: float) -> None:
    network = Network(lower, darker)
    register, _ = registration(network)
    for frame in (0, 13, 47):
        drawn = network.draw(scene(frame))
        corrected = register(track(60), references(60), [frame], drawn[None])[0]
        assert apart(corrected, scene(frame)) < 0.45 * apart(drawn, scene(frame))
        assert np.array_equal(corrected[:HALF], drawn[:HALF]), "above the mouth nothing is the network's"


def test_what_is_drawn_rightly_stays() -> None:
    register, _ = registration(Network(0, 0))
    corrected = register(track(60), references(60), [20], scene(20)[None])[0]
    assert apart(corrected, scene(20)) < 0.5


def test_a_half_is_corrected_by_its_own_frames_once_whatever_the_batch() -> None:
    faces = np.stack([scene(frame) for frame in range(60)])
    whole, asked = registration(Network(1.5, 5))
    one = whole(track(60), references(60), list(range(60)), faces)
    assert len(asked) == 2 and all(len(numbers) == COUNT for numbers in asked)
    assert max(asked[0]) < 30 <= min(asked[1])
    alone, _ = registration(Network(1.5, 5, grid=3))
    assert np.array_equal(alone(track(60), references(60), [59], faces[59:])[0], one[59])


def test_a_larger_face_is_moved_as_far_in_its_own_pixels() -> None:
    network = Network(1.5, 0)
    real = np.stack([scene(frame) for frame in range(6)])
    drawn = np.stack([network.draw(face) for face in real])
    large = [np.stack([cv2.resize(face, (256, 256)) for face in faces]) for faces in (real, drawn)]
    small, big = correction(real, drawn), correction(*large)
    assert np.median(small.flow[50:, :, 1]) == pytest.approx(1.5, abs=0.3)
    assert np.median(big.flow[200:, :, 1]) == pytest.approx(6, abs=1.2)


@pytest.mark.parametrize("frames", [2, 2 * LEAST - 2])
def test_too_few_frames_say_nothing(frames: int) -> None:
    register, asked = registration(Network(2, 0))
    faces = np.stack([scene(0)] * frames)
    assert np.array_equal(register(track(frames), references(frames), list(range(frames)), faces), faces)
    assert asked == []


def test_frames_on_which_no_mouth_can_be_made_tell_nothing() -> None:
    register, asked = registration(Network(2, 0))
    unfit = np.zeros(60, np.uint8)
    unfit[10:30] = 1
    register(replace(track(60), unfit=unfit), references(60), [0], scene(0)[None])
    assert max(asked[0]) < 10


class Hearing(Network):
    """The same of a system that hears; keeps what it heard."""

    needs = SimpleNamespace(audio=(MEL,))
    heard: np.ndarray

    def __call__(self, slots: Sequence[int], shown: NetworkInputs) -> Pictures:
        assert max(slots) < self.grid and shown.motion is None
        self.heard = shown.audio["mel"]
        return np.stack([self.draw(face) for face in shown.faces])


def hearing(network: Hearing, sound: Mel | None, settings: Settings = Settings()) -> Registration | None:  # noqa: B008
    """Of a video of 60 frames at 30 fps with this sound, or none."""
    models = object.__new__(Models)
    models.__dict__ |= {"synthesizer": network, "stage1": None}
    info = VideoInfo(Path("face.mp4"), Fraction(30), 60, SIZE, SIZE, audio=sound is not None, still=False)

    def hear() -> AudioFeatures:
        assert sound is not None
        return AudioFeatures(sound)

    return models.registration(settings, info, lambda numbers: (scene(number) for number in numbers), hear)


def test_a_system_that_hears_is_told_the_own_sound_of_its_frames() -> None:
    network = Hearing(1.5, 9)
    sound = Mel(np.random.default_rng(0).uniform(-4, 4, (170, MELS)).astype(np.float32), 2.1)
    register = hearing(network, sound)
    assert register is not None
    drawn = network.draw(scene(13))
    corrected = register(track(60), references(60), [13], drawn[None])[0]
    assert apart(corrected, scene(13)) < 0.45 * apart(drawn, scene(13))
    told = evenly_over(np.arange(30), COUNT)
    assert np.array_equal(network.heard, sound.windows(0, 60, Fraction(30))[told])


def test_a_system_that_hears_is_not_registered_where_nothing_is_heard() -> None:
    silence = Mel(np.full((160, MELS), SILENCE, np.float32), 2.0)
    register = hearing(Hearing(1.5, 9), silence)
    assert register is not None and register.of(track(60), references(60), 13) is None
    assert hearing(Hearing(1.5, 9), None) is None
    assert hearing(Hearing(1.5, 9), silence, Settings(registration=False)) is None


def test_a_picture_is_drawn_anew_itself() -> None:
    network = Network(1.5, 9)
    register, asked = registration(network)
    sees_itself = References(np.empty((0, SIZE, SIZE, 3), np.uint8), np.full(1, -1))
    drawn = network.draw(scene(4))
    corrected = register(track(1), sees_itself, [0], drawn[None])[0]
    assert apart(corrected, scene(4)) < 0.45 * apart(drawn, scene(4)) and asked == [[0]]


def test_only_the_rows_that_change_are_computed_and_no_number_is_another() -> None:
    real = np.stack([scene(number) for number in range(LEAST)])
    drawn = np.stack([Network(1.5, 9).draw(face) for face in real])
    found = correction(real, drawn)
    whole = lit(displaced(drawn[0], found.flow, cv2.INTER_CUBIC), found.colour)
    assert np.array_equal(found(drawn[0]), found.lips.over(whole))
    nothing = np.zeros((SIZE, SIZE, 3), np.float32)
    assert np.array_equal(Correction(nothing[..., :2], nothing, LipColour(nothing[0, 0]))(drawn[0]), drawn[0])
