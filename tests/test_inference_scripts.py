"""The original's scripts: its variables become flags that mean what the original does.  No network is run."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from lipsync.cli.flags import parser, settings
from lipsync.cli.legacy_flags import unused
from lipsync.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
AS_ORIGINAL = {
    "length": "shortest", "fps": Fraction(25), "mask": "half", "strict_pose": "force", "feather": 0.0, "detail": 0.0,
    "registration": False,
}  # fmt: skip
FAKE = """#!/usr/bin/env bash
# Looks to setup.sh like an environment that is ready, and writes down what it is to run.
case ${1-} in
    -c) echo 7 ;;
    */setup.py) echo "$0" ;;
    -m) [[ $2 == pip ]] || printf '%s\\n' "$@" >"$SAID" ;;
    *) printf '%s\\n' "$@" >"$SAID" ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    """Runs a script with these variables; returns its exit code, the words of what it would run, and its complaint."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(FAKE)
    (programs / "python").chmod(0o755)

    def run(script, *flags, **variables):
        said = tmp_path / "said"
        environment = {"PATH": os.environ["PATH"], "VENV": str(tmp_path / "venv"), "SAID": str(said)} | variables
        done = subprocess.run(
            [ROOT / "scripts" / script, *flags], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, said.read_text().splitlines() if said.exists() else [], done.stderr

    return run


def understood(words):
    """The options and settings of a command line of ours."""
    options = parser().parse(words)
    assert unused(options) == []
    changed = {name for name in vars(Settings()) if getattr(settings(options), name) != getattr(Settings(), name)}
    return options, {name: getattr(settings(options), name) for name in changed}


@pytest.mark.parametrize("count", ["x", "0", "-3", "1.5"])
def test_a_number_of_gpus_that_cannot_be_is_one_sentence(run, count):
    code, words, said = run("inference.sh", NUM_GPUS=count, filelist=__file__)
    assert (code, words) == (2, []) and said.startswith("error: NUM_GPUS is ") and said.count("\n") == 1


def test_cross_by_the_original_release(run, tmp_path):
    (tmp_path / "my list.txt").write_text("a b\n")
    code, words, said = run(
        "inference.sh", "--device", "cpu", real_video_root="/data/vox celeb", model_path="checkpoint.pt", NUM_GPUS="1",
        filelist=str(tmp_path / "my list.txt"), sample_path="out put",
    )  # fmt: skip
    assert (code, said) == (0, "") and Path(words[0]).name == "generate.py"
    options, chosen = understood(words[1:])
    assert (options.filelist, options.sample_path) == (tmp_path / "my list.txt", Path("out put"))
    assert (options.test_video_dir, options.model_path) == (Path("/data/vox celeb"), Path("checkpoint.pt"))
    sampled = {"steps": "ddim25", "sampler": "ddim", "fixed_crop": True, "reference": "gt", "device": "cpu"}
    assert chosen == AS_ORIGINAL | sampled


def test_reconstruction_by_the_checkpoint_that_ships(run):
    code, words, _ = run("inference.sh", sample_mode="reconstruction", NUM_GPUS="1", filelist=__file__)
    options, chosen = understood(words[1:])
    assert code == 0 and options.model_path is None and options.sample_path == Path("output_dir")
    assert chosen == AS_ORIGINAL | {"fixed_crop": True, "first_frame": True, "reference": "first_frame"}


def test_one_video_by_two_processes(run, tmp_path):
    mpiexec = tmp_path / "venv" / "bin" / "mpiexec"
    mpiexec.write_text(
        '#!/usr/bin/env bash\nprintf "%s\\n" "$MASTER_ADDR:$MASTER_PORT" "$OMPI_ALLOW_RUN_AS_ROOT" "$@" >"$SAID"\n'
    )
    mpiexec.chmod(0o755)
    variables = {"video_path": "a b.mp4", "audio_path": "c.wav", "out_path": "o.mp4", "NUM_GPUS": "2"}
    code, words, _ = run("inference_single_video.sh", **variables)
    assert code == 0 and words[:4] == ["127.0.0.1:7", "1", "-n", "2"]
    assert Path(words[5]).name == "generate_dist.py"
    options, chosen = understood(words[6:])
    assert (options.video, options.audio, options.output) == (Path("a b.mp4"), Path("c.wav"), Path("o.mp4"))
    assert chosen == AS_ORIGINAL | {"reference": "gt"}


def test_without_mpi_torchrun_starts_them(run, tmp_path):
    tools = tmp_path / "tools"  # what the scripts need, and no mpiexec
    tools.mkdir()
    for name in ("bash", "dirname", "env"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    variables = {"video_path": "a.mp4", "audio_path": "c.wav", "out_path": "o.mp4", "NUM_GPUS": "3"}
    code, words, _ = run("inference_single_video.sh", **variables, PATH=str(tools))
    assert code == 0 and words[:4] == ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=3"]
    assert Path(words[4]).name == "generate_dist.py"


@pytest.mark.parametrize(
    ("script", "variables", "words"),
    [
        ("inference.sh", {"sample_mode": "sideways", "filelist": __file__}, "cross or reconstruction"),
        ("inference.sh", {"filelist": "gone.txt"}, "gone.txt"),
        ("inference_single_video.sh", {"video_path": "v.mp4"}, "audio_path"),
    ],
)
def test_what_is_missing_is_said(run, script, variables, words):
    code, ran, said = run(script, **variables)
    assert code != 0 and ran == [] and words in said and len(said.splitlines()) == 1


VOX = ("dev/mp4/id1/v/1.mp4", "test/mp4/id2/v/1.mp4", "test/mp4/id3/v/1.mp4")
LRW = ("ABOUT/train/ABOUT_00001.mp4", "ABOUT/test/ABOUT_00001.mp4", "AFTER/val/AFTER_00001.mp4",
       "AFTER/test/AFTER_00001.mp4")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tree", "variables", "crop", "named"),
    [
        (VOX, {"sample_mode": "cross"}, "True", "voxceleb2_test_n_5000_seed_797_cross_5K.txt"),
        (VOX, {"sample_mode": "reconstruction"}, "True", "voxceleb2_test_n_5000_reconstruction_5k.txt"),
        (LRW, {"filelist": "dataset/filelists/lrw_cross_relative_path.txt"}, "False", "lrw_cross_relative_path.txt"),
    ],
)
def test_a_list_that_is_missing_is_drawn_once(tmp_path, tree, variables, crop, named):
    """The original's lists do not ship: they are made of the test clips, below the results, as long as these allow."""
    for name in tree:
        (tmp_path / "videos" / name).parent.mkdir(parents=True)
        (tmp_path / "videos" / name).touch()
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    real = f'exec {sys.executable} "$@"'
    (programs / "python").write_text(FAKE.replace("-m) [[ $2", f"-m) [[ $2 != dataset* ]] || {real}; [[ $2"))
    (programs / "python").chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"], "VENV": str(tmp_path / "venv"), "SAID": str(tmp_path / "said"), "NUM_GPUS": "1",
        "real_video_root": str(tmp_path / "videos"), "sample_path": str(tmp_path / "results"), **variables,
    }  # fmt: skip
    for messages in (1, 0):
        done = subprocess.run([ROOT / "scripts" / "inference.sh"], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said = [line for line in done.stderr.splitlines() if "2 pairs, not " in line]
        assert len(said) == messages
    (kept,) = (tmp_path / "results" / "filelists").iterdir()
    words = (tmp_path / "said").read_text().splitlines()
    assert words[words.index("--filelist") + 1] == str(kept) and kept.name == named
    assert words[words.index("--is_voxceleb2") + 1] == crop
    lines = kept.read_text().splitlines()
    assert len(lines) == 2 and not any("dev" in line or "train" in line or "val" in line for line in lines)
