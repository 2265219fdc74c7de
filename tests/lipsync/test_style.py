"""A style model from files to files: whose manner, how much of it, motion out and in; and what cannot be."""

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from test_many_processes import frames, run

from lipsync.cli.flags import checkpoint, parser
from lipsync.cli.main import generate
from lipsync.jobs.job import Job
from lipsync.motion.style_reference import STRETCH, STRETCHES, stretches
from lipsync.pipeline import LipSyncPipeline
from lipsync.settings import Settings
from systems.registry import load_motion
from tests.helpers.failing import check_error
from tests.helpers.prepared import prepared
from tests.helpers.talking_head import picture, talking, tone
from tests.helpers.tiny_style import save
from video import PICTURES, read_frames, write_picture, write_video


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("style model"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """person.mp4 and other.mp4 with sound, mute.mp4 and words.wav; bad ones beside them."""
    here = tmp_path_factory.mktemp("style")
    long, short = tone(here / "own.wav", 0.64, 150), tone(here / "words.wav", 0.6)
    write_video(here / "person.mp4", talking(16), Fraction(25), sound=long)
    mirrored = (np.ascontiguousarray(frame[:, ::-1]) for frame in talking(14))
    write_video(here / "other.mp4", mirrored, Fraction(30), sound=short)
    write_video(here / "mute.mp4", talking(16), Fraction(25))
    write_video(here / "three.mp4", talking(3), Fraction(25), sound=short)
    write_video(here / "wall.mp4", talking(14, faceless=range(14)), Fraction(25), sound=short)
    (here / "text.mp4").write_text("no video")
    return here


def speak(here: Path, model: Path, output: Path, *extra: object) -> int:
    given = ["--video", here / "person.mp4", "--audio", here / "words.wav", "--output", output, "--model_path", model,
             "--face_detector", "haar", "--device", "cpu", "--precision", "fp32", "--steps", "1", "--codec", "ffv1"]
    return generate([str(flag) for flag in [*given, *extra]])


def mouth(path: Path) -> np.ndarray:
    return np.stack(list(read_frames(path))).astype(float)


@pytest.mark.slow
def test_motion_goes_out_and_comes_back_in(here: Path, model: Path, tmp_path: Path) -> None:
    whole, again = tmp_path / "whole.mkv", tmp_path / "again.mkv"
    assert speak(here, model, whole, "--motion_out", tmp_path / "lips" / "lips.npz") == 0
    with np.load(tmp_path / "lips" / "lips.npz") as file:
        motion, opening, fps = file["motion"], file["opening"], float(file["fps"])
    assert motion.shape == (15, 4) and opening.shape == (15,) and fps == 25
    drawn = next(read_frames(tmp_path / "lips" / "lips.png"))
    assert (tmp_path / "lips" / "lips.png").suffix in PICTURES and drawn.shape[0] > drawn.shape[1] // 4
    assert speak(here, model, again, "--motion_in", tmp_path / "lips" / "lips.npz") == 0
    assert np.array_equal(mouth(whole), mouth(again))
    np.savez(tmp_path / "edited.npz", motion=motion + 2, fps=fps)
    assert speak(here, model, again, "--motion_in", tmp_path / "edited.npz") == 0
    assert not np.array_equal(mouth(whole), mouth(again))


@pytest.mark.slow
def test_the_style_video_counts_by_its_strength(here: Path, model: Path, tmp_path: Path) -> None:
    def motion(*extra: object) -> np.ndarray:
        assert speak(here, model, tmp_path / "o.mkv", "--motion_out", tmp_path / "lips.npz", *extra) == 0
        with np.load(tmp_path / "lips.npz") as file:
            return np.array(file["motion"])

    own, other = motion(), motion("--style_video", here / "other.mp4")
    nobody = motion("--style_strength", "0")
    assert not np.allclose(own, other, atol=1e-5) and not np.allclose(own, nobody, atol=1e-5)
    assert np.allclose(motion("--style_video", here / "other.mp4", "--style_strength", "0"), nobody, atol=1e-5)
    half = motion("--style_video", here / "other.mp4", "--style_strength", "0.5")
    assert np.allclose(half, (other + nobody) / 2, atol=1e-4)
    assert np.array_equal(motion("--style_video", here / "person.mp4"), own)  # by default it is the video itself
    mean = motion("--audio_strength", "0")
    assert np.allclose(mean, mean[:1], atol=1e-5)
    assert np.allclose(motion("--guidance_scale", "1.5"), mean + 1.5 * (own - mean), atol=1e-4)
    slow = motion("--fps", "12.5")
    assert len(slow) == 7 and np.allclose(slow, own[:14:2], atol=1e-3)  # the lips move by time, not by frame


@pytest.mark.slow
def test_a_silent_video_or_a_still_speaks_like_nobody(
    here: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speak(here, model, tmp_path / "o.mkv", "--video", here / "mute.mp4") == 0
    assert "mute.mp4: it has no sound" in capsys.readouterr().err
    write_picture(tmp_path / "still.png", picture())
    assert speak(here, model, tmp_path / "o.mkv", "--video", tmp_path / "still.png") == 0


@pytest.mark.slow
def test_who_waits_in_silence_speaks_like_a_still_of_it(here: Path, model: Path, tmp_path: Path) -> None:
    """A track of silence is no manner of speaking, nor is how far a mouth was open meanwhile."""
    write_picture(tmp_path / "still.png", picture())
    with wave.open(str(tmp_path / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    for name, sound in (("mute.mkv", None), ("silent.mkv", tmp_path / "silence.wav")):
        write_video(tmp_path / name, (picture() for _ in range(25)), Fraction(25), sound=sound, codec="ffv1")
    moves = []
    for name in ("still.png", "mute.mkv", "silent.mkv"):
        lips = tmp_path / "lips.npz"
        assert speak(here, model, tmp_path / "o.mkv", "--video", tmp_path / name, "--motion_out", lips) == 0
        with np.load(lips) as file:
            moves.append(file["motion"])
    assert all(np.allclose(motion, moves[0], atol=1e-4) for motion in moves[1:])


@pytest.mark.slow
def test_a_still_first_frame_tells_no_more_than_a_picture_of_it(here: Path, model: Path, tmp_path: Path) -> None:
    """Where the face lies is given for all frames; how it moves in the others would be the answer."""
    write_picture(tmp_path / "first.png", next(read_frames(here / "person.mp4")))
    place, lips, moves = ("--box", "20", "150", "70", "170", "--motion_out"), tmp_path / "lips.npz", []
    still = ("--sampling_input_type", "first_frame")
    for video, how in ((tmp_path / "first.png", ()), (here / "person.mp4", still), (here / "person.mp4", ())):
        assert speak(here, model, tmp_path / "o.mkv", "--video", video, *how, *place, lips) == 0
        with np.load(lips) as file:
            moves.append(file["motion"])
    assert np.allclose(moves[0], moves[1], atol=1e-4) and not np.allclose(moves[0], moves[2], atol=1e-2)


@pytest.mark.slow
def test_the_mouth_of_a_still_keeps_its_shape(here: Path, model: Path, tmp_path: Path) -> None:
    """It moves as nobody's in particular does, around itself and not around everybody's mean."""
    space = load_motion(model).space
    moves = []
    for name in ("one", "other"):
        still = tmp_path / f"{name}.png"
        write_picture(still, picture() if name == "one" else picture()[:, ::-1])
        assert speak(here, model, tmp_path / "o.mkv", "--video", still, "--motion_out", tmp_path / "lips.npz") == 0
        with np.load(tmp_path / "lips.npz") as file:
            moves.append(file["motion"])
    apart = moves[0] - moves[1]
    assert np.allclose(apart, apart[0], atol=1e-4) and np.abs(apart).max() > 1e-3
    assert abs(float(space.opening(torch.from_numpy(apart[0])) - space.opening(torch.zeros(4)))) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code", "named"),
    [
        ("gone.mp4", 2, "gone.mp4"),
        ("text.mp4", 2, "text.mp4"),
        ("mute.mp4", 2, "sound"),
        ("three.mp4", 2, "3 frames"),
        ("wall.mp4", 3, "face"),
    ],
)
def test_a_bad_style_video_is_one_sentence(
    here: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, code: int, named: str
) -> None:
    assert speak(here, model, tmp_path / "o.mkv", "--style_video", here / name) == code
    check_error(capsys.readouterr().err, "--style_video", named)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_bad_motion_is_one_sentence(
    here: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(named: tuple[str, ...], *extra: object) -> None:
        assert speak(here, model, tmp_path / "o.mkv", *extra) == 2
        check_error(capsys.readouterr().err, *named)

    file = tmp_path / "lips.npz"
    for content, named in (
        ({"motion": np.zeros((15, 3)), "fps": 25.0}, ("(15, 3)", "[frames, 4]")),
        ({"motion": np.full((15, 4), np.nan), "fps": 25.0}, ("(15, 4)",)),
        ({"motion": np.zeros((15, 4)), "fps": 0.0}, ("0 frames a second",)),
        ({"motion": np.zeros((5, 4)), "fps": 25.0}, ("5 frames", "0.20 s")),
        ({"opening": np.zeros(5)}, ()),
    ):
        np.savez(file, **content)
        check(("--motion_in", "lips.npz", *named), "--motion_in", file)
    check(("--motion_out", ".npz"), "--motion_out", tmp_path / "lips.csv")
    check(("--style_strength 2",), "--style_strength", "2")
    check(("--style_video", "mute.mp4", "no sound"), "--style_video", here / "mute.mp4")
    (tmp_path / "segments.csv").write_text("start,end\n0,0.2\n0.3,0.5\n")
    check(("--motion_out", "--segments"), "--segments", tmp_path / "segments.csv", "--motion_out", file)


@pytest.mark.slow
def test_a_system_without_style_says_so(
    here: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--style_video", here / "other.mp4", "--style_strength", "0.5"]
    assert speak(here, checkpoint, tmp_path / "o.mkv", *flags) == 2
    check_error(capsys.readouterr().err, "--style_video, --style_strength: ", "--model_path")


def test_a_long_video_is_seen_in_stretches() -> None:
    assert stretches(1500) == [range(1500)]
    some = stretches(90_000)
    assert sum(map(len, some)) == STRETCHES * STRETCH and some[0].start == 0 and some[-1].stop == 90_000


@pytest.mark.slow
def test_estimate_and_preview_know_style(
    here: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speak(here, model, tmp_path / "o.mkv", "--dry_run") == 0
    assert "generate" in capsys.readouterr().out
    assert speak(here, model, tmp_path / "o.png", "--preview", "0.2", "--style_video", here / "other.mp4") == 0


@pytest.mark.slow
def test_a_part_of_a_long_video_has_the_manner_of_the_whole(model: Path, tmp_path: Path) -> None:
    """Though the faces of other parts are searched for nothing else."""
    sound = tone(tmp_path / "long.wav", 3.6, 150)
    write_video(tmp_path / "long.mp4", talking(90), Fraction(25), sound=sound, preset="ultrafast")
    pipeline = LipSyncPipeline(model, Settings(detector="haar", device="cpu", precision="fp32", cache=None))
    job = Job(tmp_path / "long.mp4", sound, tmp_path / "o.mp4")
    (whole,), (part,) = (prepared(pipeline, job, within=within).turns for within in (None, (84, 90)))
    assert part.motion is not None and np.array_equal(part.motion, whole.motion)


@pytest.mark.slow
def test_three_processes_make_what_one_makes(here: Path, model: Path, tmp_path: Path) -> None:
    flags = ["--model_path", model, "--device", "cpu", "--precision", "fp32", "--face_detector", "haar", "--steps", "1",
             "--batch", "4", "--video", here / "person.mp4", "--audio", here / "own.wav", "--style_video",
             here / "other.mp4", "--no_cache"]  # fmt: skip
    for size in (1, 3):
        out = ["--output", tmp_path / f"{size}.mp4", "--motion_out", tmp_path / f"{size}.npz"]
        codes, said = run([*flags, *out], size)
        assert codes == [0] * size, said
    assert np.array_equal(frames(tmp_path / "1.mp4"), frames(tmp_path / "3.mp4"))
    with np.load(tmp_path / "1.npz") as one, np.load(tmp_path / "3.npz") as other:
        assert np.array_equal(one["motion"], other["motion"])


def test_the_model_that_ships_has_a_style_unless_another_is_named() -> None:
    assert checkpoint(parser().parse_args([])).name == "style-medium"
    assert checkpoint(parser().parse_args(["--model_path", "mine"])).name == "mine"
