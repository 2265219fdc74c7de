"""Bad input gets one sentence, the right exit code, and leaves nothing behind.  Each is run as a user would."""

import os
import pickle
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from talking_head import talking

from lipsync.cli import generate, parser, settings, spelled
from video import write_video

ROOT = Path(__file__).parent.parent.parent


class Bomb:
    """A pickle that would run a command."""

    def __reduce__(self):
        return os.system, ("touch /tmp/lipsync-bomb",)


@pytest.fixture
def files(folder, tmp_path, checkpoint):
    """Good inputs and the bad ones beside them."""
    whole = (folder / "person.mp4").read_bytes()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Bomb()))
    write_video(tmp_path / "wall.mp4", (np.full((96, 96, 3), 90, np.uint8) for _ in range(5)), Fraction(25))
    (tmp_path / "file").touch()
    return {
        "video": folder / "person.mp4", "audio": folder / "words.wav", "output": tmp_path / "out" / "result.mp4",
        "model": checkpoint, "here": tmp_path,
    }  # fmt: skip


def run(files, capsys, *extra, **changes):
    """Exit code and what was said on stderr."""
    f = files | changes
    code = generate(
        ["--video", str(f["video"]), "--audio", str(f["audio"]), "--output", str(f["output"]),
         "--model-path", str(f["model"]), "--face-detector", "haar", "--device", "cpu", *extra]
    )  # fmt: skip
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "changes", "code", "words"),
    [
        ("missing video", {"video": "absent.mp4"}, 2, "absent.mp4"),
        ("missing sound", {"audio": "absent.wav"}, 2, "absent.wav"),
        ("empty file", {"video": "empty.mp4"}, 2, "empty.mp4"),
        ("text renamed", {"video": "text.mp4"}, 2, "text.mp4"),
        ("cut in half", {"video": "half.mp4"}, 2, "half.mp4"),
        ("text as sound", {"audio": "text.mp4"}, 2, "text.mp4"),
        ("silent video as sound", {"audio": "wall.mp4"}, 2, "sound"),
        ("no face anywhere", {"video": "wall.mp4"}, 3, "no face"),
        ("output in a file", {"output": "file/result.mp4"}, 2, "result.mp4"),
        ("output is a folder", {"output": "."}, 2, "folder"),
        ("unknown container", {"output": "result.xyz"}, 2, ".mp4"),
        ("missing checkpoint", {"model": "absent.safetensors"}, 2, "--model_path"),
        ("a random pickle", {"model": "pickle.pt"}, 2, "nothing in it was run"),
        ("a text checkpoint", {"model": "text.mp4"}, 2, "weights"),
    ],
)
def test_bad_input(files, capsys, what, changes, code, words):
    before = set(files["here"].rglob("*"))
    got, said = run(files, capsys, **{name: files["here"] / value for name, value in changes.items()})
    assert (got, words in said) == (code, True), f"{what}: {got} {said}"
    sentence = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(sentence) == 1 and "Traceback" not in said
    assert set(files["here"].rglob("*")) == before
    assert not Path("/tmp/lipsync-bomb").exists()


def test_the_input_is_never_overwritten(files, capsys):
    code, said = run(files, capsys, output=files["video"])
    assert code == 2 and "input itself" in said


def test_an_existing_result_survives_a_failure(files, capsys):
    files["output"].parent.mkdir()
    files["output"].write_bytes(b"precious")
    assert run(files, capsys, video=files["here"] / "wall.mp4")[0] == 3
    assert files["output"].read_bytes() == b"precious"


def test_a_face_in_half_the_frames(files, capsys, tmp_path):
    write_video(tmp_path / "half face.mp4", talking(40, range(20, 40)), Fraction(25))
    code, _ = run(files, capsys, "--length", "video", video=tmp_path / "half face.mp4")
    assert code == 0 and files["output"].exists()


@pytest.mark.parametrize("args", [["--unknown"], ["--vide", "x"], [], ["--quality", "worst"], ["--crf", "99"]])
def test_bad_usage(args, capsys):
    needed = ["--video", "v", "--audio", "a", "--output", "o.mp4"] if args else []
    try:
        code = generate([*needed, *args])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2 and len(said.strip().splitlines()) == 1


def test_old_and_new_spellings():
    given = (
        ["--video_path", "v", "--audio-path", "a", "--out_path=o-1.mp4", "--is_voxceleb2", "True",
         "--sampling-batch-size", "4", "--sampling_seed=3", "--sampling_input_type", "first_frame"]
    )  # fmt: skip
    chosen = settings(parser().parse_args([spelled(token) for token in given]))
    assert (chosen.fixed_crop, chosen.batch, chosen.seed, chosen.first_frame) == (True, 4, 3, True)


def test_ctrl_c_leaves_nothing(files, tmp_path):
    command = [sys.executable, ROOT / "generate.py", "--video", files["video"], "--audio", files["audio"], "--output",
               files["output"], "--model_path", files["model"], "--face_detector", "haar",
               "--sampler", "ddim", "--steps", "ddim500"]  # fmt: skip

    def listen() -> None:  # a test run in the background ignores Ctrl-C, and so would its children
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listen)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not list(files["output"].parent.glob(".*.mp4")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "nothing was written" in said and "Traceback" not in said
    assert not list(files["output"].parent.iterdir())
