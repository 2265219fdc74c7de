"""Bad input gets one sentence, the right exit code, and leaves nothing behind.  Each is run as a user would."""

import os
import pickle
import signal
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from face_detection.haar import HaarDetector
from lipsync.cli.flags import parser, settings
from lipsync.cli.legacy_flags import unused
from lipsync.cli.main import generate
from lipsync.settings import Settings
from tests.helpers.failing import check_error
from tests.helpers.forked import Forked
from tests.helpers.talking_head import talking
from video import probe, write_video

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "changes", "code", "words"),
    [
        ("missing video", {"video": "absent.mp4"}, 2, "absent.mp4"),
        ("missing sound", {"audio": "absent.wav"}, 2, "absent.wav"),
        ("empty file", {"video": "empty.mp4"}, 2, "empty.mp4"),
        ("text renamed", {"video": "text.mp4"}, 2, "text.mp4"),
        ("cut in half", {"video": "half.mp4"}, 2, "half.mp4"),
        ("text as sound", {"audio": "text.mp4"}, 2, "text.mp4"),
        ("silent video as sound", {"audio": "wall.mp4"}, 2, "wall.mp4"),
        ("no face anywhere", {"video": "wall.mp4"}, 3, "wall.mp4"),
        ("output in a file", {"output": "file/result.mp4"}, 2, "result.mp4"),
        ("output is a folder", {"output": "."}, 2, "--output"),
        ("unknown container", {"output": "result.xyz"}, 2, ".mp4"),
        ("missing checkpoint", {"model": "absent.safetensors"}, 2, "--model_path"),
        ("a random pickle", {"model": "pickle.pt"}, 2, "nothing in it was run"),
        ("a text checkpoint", {"model": "text.mp4"}, 2, "weights"),
        ("a still without --preview", {"output": "result.png"}, 2, ".mp4"),
    ],
)
def test_bad_input(files, capsys, what, changes, code, words):
    before = set(files["here"].rglob("*"))
    got, said = run(files, capsys, **{name: files["here"] / value for name, value in changes.items()})
    assert got == code, f"{what}: {got} {said}"
    check_error(said, words)
    assert set(files["here"].rglob("*")) == before
    assert not Path("/tmp/lipsync-bomb").exists()


def test_the_input_is_never_overwritten(files, capsys):
    code, said = run(files, capsys, output=files["video"])
    assert code == 2
    check_error(said, "--output", "--video")


def test_an_existing_result_survives_a_failure(files, capsys):
    files["output"].parent.mkdir()
    files["output"].write_bytes(b"precious")
    assert run(files, capsys, video=files["here"] / "wall.mp4")[0] == 3
    assert files["output"].read_bytes() == b"precious"


@pytest.mark.slow
def test_a_face_in_half_the_frames(files, capsys, tmp_path):
    write_video(tmp_path / "half face.mp4", talking(40, range(20, 40)), Fraction(25))
    code, _ = run(files, capsys, "--length", "video", video=tmp_path / "half face.mp4")
    assert code == 0 and files["output"].exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--codec", "ffv1"], 2, ".mkv"),
        (["--patch"], 2, "--codec"),
        (["--patch", "--compare"], 2, "--compare, --debug_mask and --patch"),
        (["--face", "person.mp4"], 2, "--face person.mp4"),
        (["--face", "index:7"], 3, "--list_faces"),
        (["--preview", "0.5"], 2, ".png"),
        (["--list-faces"], 2, ".png"),
        (["--start", "3"], 2, "--start"),
        (["--segments", "gone.csv"], 2, "gone.csv"),
        (["--mux-audio", "gone.wav"], 2, "gone.wav"),
    ],
)
def test_flags_that_cannot_be_used_say_why(files, capsys, args, code, words):
    got, said = run(files, capsys, *args)
    assert got == code, said
    check_error(said, words)
    assert not files["output"].exists()


def test_without_words_there_is_nothing_to_say(files, capsys):
    code = generate(["--video", str(files["video"]), "--output", str(files["output"])])
    assert code == 2
    check_error(capsys.readouterr().err, "--audio")


BAD_USAGE = [
    ["--unknown"], ["--vide", "x"], [], ["--quality", "worst"], ["--crf", "99"], ["--pads", "1,2"],
    ["--box", "a b c d"],
    ["--start", "soon"], ["--start", "3", "--end", "2"], ["--fps", "0"], ["--compare", "maybe"], ["--use_ddim", "x"],
    ["--box", "9,1,0,5"],
]  # fmt: skip


@pytest.mark.parametrize("args", BAD_USAGE)
def test_bad_usage(args, capsys):
    needed = ["--video", "v", "--audio", "a", "--output", "o.mp4"] if args else []
    try:
        code = generate([*needed, *args])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2 and len(said.strip().splitlines()) == 1


def chosen(*args):
    """The settings that flags say."""
    return settings(parser().parse(["--video", "v", "--audio", "a", "--output", "o-1.mp4", *args]))


def test_nothing_said_is_the_defaults():
    assert chosen() == Settings()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--is_voxceleb2", "True", "--sampling-batch-size", "4", "--sampling_seed=3"],
         {"fixed_crop": True, "batch": 4, "seed": 3}),
        (["--is-voxceleb2", "--no-is-voxceleb2"], {"fixed_crop": False}),
        (["--is_voxceleb2", "False", "--compare"], {"fixed_crop": False, "compare": True}),
        (["--no_compare", "False"], {"compare": True}),
        (["--sampling_input_type", "first_frame"], {"first_frame": True}),
        (["--pads", "0,10,-3,0.5"], {"pads": (0, 10, -3, 0.5)}),
        (["--pads", "0", "9", "0", "0", "--box", "1", "2", "3", "4"], {"pads": (0, 9, 0, 0), "box": (1, 2, 3, 4)}),
        (["--start", "1:02.5", "--end", "1:00:00"], {"start": 62.5, "end": 3600}),
        (["--fps", "29.97"], {"fps": Fraction(30000, 1001)}),
        (["--video_fps", "25"], {"fps": 25}),
        (["--timestep_respacing", "ddim25", "--use_ddim", "True"], {"steps": "ddim25", "sampler": "ddim"}),
        (["--use_ddim", "False", "--use_fp16", "False"], {"sampler": "ddpm", "precision": "fp32"}),
        (["--use_fp16", "True"], {"precision": "auto"}),
        (["--no-cache"], {"cache": None}),
        (["--cache-dir", "there"], {"cache": Path("there")}),
        (["--face_det_batch_size", "64"], {"detector_batch": 64}),
    ],
)  # fmt: skip
def test_flags_new_and_old(args, expected):
    assert chosen(*args) == replace(Settings(), **expected)


ORIGINAL = """
--attention_resolutions 32,16,8 --class_cond False --learn_sigma True --num_channels 128 --num_head_channels
64 --num_res_blocks 2 --resblock_updown True --use_fp16 True --use_scale_shift_norm False --predict_xstart
False --diffusion_steps 1000 --noise_schedule linear --rescale_timesteps False --sampling_seed 7
--sampling_input_type gt --sampling_ref_type gt --timestep_respacing ddim25 --use_ddim True --model_path m.pt
--sample_path out --nframes 5 --nrefer 1 --image_size 128 --sampling_batch_size 32 --face_hide_percentage 0.5
--use_ref True --use_audio True --audio_as_style True --generate_from_filelist 0 --test_video_dir d --filelist
f --video_path v --audio_path a --out_path o.mp4 --save_orig False --face_det_batch_size 64 --pads 0,0,0,0
--is_voxceleb2 False --video_fps 25 --sample_rate 16000
"""


def test_a_command_of_the_original_is_understood_and_what_means_nothing_says_so_once():
    options = parser().parse(ORIGINAL.split())
    expected = {
        "reference": "gt", "steps": "ddim25", "sampler": "ddim", "batch": 32, "detector_batch": 64, "fps": Fraction(25),
        "length": "shortest", "mask": "half", "feather": 0.0, "strict_pose": "force", "detail": 0.0,
        "registration": False,
    }  # fmt: skip
    assert settings(options) == replace(Settings(), **expected)
    assert (options.video, options.output, options.model_path) == (Path("v"), Path("o.mp4"), Path("m.pt"))
    sentences = unused(options)
    assert len(sentences) == 3 and all("not used here, because" in sentence for sentence in sentences)
    assert "--num_channels" in sentences[0] and "--nframes, --nrefer" in " ".join(sentences)
    assert options.from_list is False and options.save_orig is False
    assert unused(parser().parse(["--video", "v", "--output", "o"])) == []


@pytest.mark.slow
def test_the_programs_that_only_look(files, capsys, tmp_path):
    still = tmp_path / "new" / "still.png"
    assert run(files, capsys, "--preview", "0.4", output=still)[0] == 0
    assert probe(still).width == 512
    assert run(files, capsys, "--list-faces", output=tmp_path / "who.png")[0] == 0
    assert probe(tmp_path / "who.png").still
    files["output"].unlink(missing_ok=True)
    assert run(files, capsys, "--dry-run")[0] == 0 and not files["output"].exists()


@pytest.mark.slow
def test_a_patch_for_editors_and_a_comparison(files, capsys, tmp_path):
    assert run(files, capsys, "--codec", "prores", "--patch", output=tmp_path / "patch.mov")[0] == 0
    assert probe(tmp_path / "patch.mov").frames == 25
    assert run(files, capsys, "--compare", "--codec", "ffv1", output=tmp_path / "both.mkv")[0] == 0
    assert probe(tmp_path / "both.mkv").width == 512


@pytest.mark.slow
def test_a_second_run_searches_nothing(files, capsys, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    assert run(files, capsys, "--cache-dir", str(cache))[0] == 0
    first = files["output"].read_bytes()
    monkeypatch.setattr(HaarDetector, "detect", None)
    assert run(files, capsys, "--cache-dir", str(cache))[0] == 0
    assert files["output"].read_bytes() == first
    with pytest.raises(TypeError):
        run(files, capsys, "--no-cache")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_ctrl_c_and_other_signals_leave_nothing(files, tmp_path, name):
    command = [ROOT / "generate.py", "--video", files["video"], "--audio", files["audio"], "--output",
               files["output"], "--model_path", files["model"], "--face_detector", "haar",
               "--sampler", "ddim", "--steps", "ddim500"]  # fmt: skip
    process = Forked(command)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not list(files["output"].parent.rglob(".*.mp4")):
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "nothing was written" in said and "Traceback" not in said
    assert not list(files["output"].parent.iterdir())
