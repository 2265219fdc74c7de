"""What training needs is looked at before its first step: by train.py --dry_run, and by scripts/train.sh before all."""

import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

import train as program
from core.program import exit_code
from tests.helpers.failing import check_error
from tests.helpers.talking_head import picture, tone
from video import write_video

ROOT = Path(__file__).resolve().parents[1]
FAKE = """#!/usr/bin/env bash
case ${1-} in
    -c) echo "${GPUS:-0}" ;;
    */setup.py) echo "$0" ;;
    -m) [[ $2 == pip ]] || echo "$@" >>"$SAID" ;;
    *)
        echo "$@" >>"$SAID"
        [[ $* != *"$BROKEN"* ]] || exit 2
        ;;
esac
"""


@pytest.fixture(scope="module")
def voxceleb2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, a clip each, as VoxCeleb2 is published."""
    root = tmp_path_factory.mktemp("Vox Celeb2")
    for speaker in ("id00012", "id00045", "id00099"):
        (root / speaker / "abc").mkdir(parents=True)
        sound = tone(root / "tone.wav", 1.6)
        write_video(root / speaker / "abc" / "00001.mp4", (picture(k)[:176, 40:216] for k in range(40)), Fraction(25),
                    sound=sound)  # fmt: skip
    return root


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, words)])
    return exit_code(program.run)


@pytest.mark.slow
def test_the_plan_is_said_and_nothing_is_written(
    voxceleb2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--system", "sync", "--data", voxceleb2, "--output", tmp_path / "run", "--batch", 8, "--device", "cpu"]
    assert run(monkeypatch, *words, "--dry-run", "--steps", 7) == 0
    said = capsys.readouterr().out
    rows = dict(line.split("  ", 1) for line in said.splitlines())
    assert rows["data"].strip().endswith(": 3 clips train") and "read in" in rows["first batch"]
    assert rows["length"].strip().startswith("7 steps of 8 a process") and "sync" in rows["trains"]
    parameters = re.findall(r"[0-9.]+(?= M)", rows["trains"])
    assert len(parameters) == 2 and float(parameters[1]) <= float(parameters[0])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--system", "diff2lip-small", "--set", "loss.perceptual=0.25", "--batch", 1], "AlexNet"),
        (["--system", "diff2lip-small", "--set", "loss.sync=0.1", "--set", "data.frames=5"], "--expert"),
        (["--system", "syncdiff-128"], "--audio_encoder"),
    ],
)
def test_what_is_missing_is_one_sentence(
    words: list[object], named: str, voxceleb2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("systems.perceptual.weights_folders", lambda: (tmp_path,))
    assert run(monkeypatch, *words, "--data", voxceleb2, "--output", tmp_path / "run", "--dry_run") == 2
    check_error(capsys.readouterr().err, named)


@pytest.mark.parametrize("flag", ["--expert", "--features"])
def test_a_judge_of_what_has_no_such_term_is_refused(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "v.mp4").touch()
    words = ["--system", "sync", "--data", tmp_path, "--output", tmp_path / "run", flag, tmp_path / "v.mp4"]
    assert run(monkeypatch, *words, "--dry_run") == 2
    check_error(capsys.readouterr().err, flag, "v.mp4", "leave the flag out")


@pytest.mark.slow
@pytest.mark.parametrize("lacks", ["device", "disk"])
def test_too_little_memory_or_disk_is_one_sentence(
    lacks: str, voxceleb2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = {"device": "systems.plan._memory", "disk": "systems.plan._free"}[lacks]
    monkeypatch.setattr(name, lambda _: (1e6, "cpu") if lacks == "device" else 1e6)
    words = ["--system", "sync", "--data", voxceleb2, "--output", tmp_path / "run", "--batch", 8, "--dry_run"]
    assert run(monkeypatch, *words) == 2
    check_error(capsys.readouterr().err, "cpu" if lacks == "device" else "--output", "GB")


@pytest.fixture
def script(tmp_path: Path):
    """Runs scripts/train.sh with a Python that only writes down; -> exit code, what it would run, what it said."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(FAKE)
    (programs / "python").chmod(0o755)

    def run(*flags: str, **variables: str) -> tuple[int, list[str], str]:
        said = tmp_path / "said"
        environment = {"PATH": os.environ["PATH"], "VENV": str(tmp_path / "venv"), "SAID": str(said), "BROKEN": "none"}
        done = subprocess.run([ROOT / "scripts" / "train.sh", *flags], env=environment | variables, capture_output=True,
                              text=True, check=False)  # fmt: skip
        return done.returncode, said.read_text().splitlines() if said.exists() else [], done.stderr

    return run


def test_all_is_checked_before_the_first_step(script) -> None:
    code, lines, _ = script(real_video_root="/data/v", BROKEN="diff2lip-128")
    assert code == 2 and len(lines) == 2 and all("--dry_run" in line for line in lines)


def test_then_the_expert_is_trained_and_the_network_by_it(script) -> None:
    code, lines, _ = script("--steps", "9", real_video_root="/data/v", output="o")
    assert code == 0 and ["--dry_run" in line for line in lines] == [True, True, False, False]
    assert "checkpoints/sync.safetensors" in lines[1] and "--expert o/sync/weights.safetensors" in lines[3]
    assert "--steps 9" in lines[3] and "--steps" not in lines[2]


def test_one_may_look_alone_and_bring_an_expert(script) -> None:
    code, lines, _ = script("--dry-run", real_video_root="/data/v", expert="e.pth")
    assert code == 0 and len(lines) == 1 and "--expert e.pth" in lines[0]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "real_video_root"),
        ({"real_video_root": "/d", "NUM_GPUS": "many"}, "NUM_GPUS is many"),
        ({"real_video_root": "/d", "NUM_GPUS": "8", "GPUS": "2"}, "2 GPUs"),
    ],
)
def test_what_cannot_be_is_said_by_the_script(script, variables: dict[str, str], named: str) -> None:
    code, lines, said = script(**variables)
    assert code == 2 and not lines
    check_error(said, named)
