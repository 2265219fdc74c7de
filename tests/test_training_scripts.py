"""The scripts around training run as a user runs them, on clips of a tenth of a second and networks of a thumbnail."""

import contextlib
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import NotFound
from dataset import load_clip, save_clip
from dataset.pack import packed
from dataset.prepared import entries
from guided_diffusion.engine.checkpoint import save_checkpoint
from scripts import benchmark_speech, pack_training
from scripts.prepare import ExpertScorer
from scripts.prepare import main as prepare_with_expert
from systems.registry import build, describe, find_preset, load_motion
from systems.sound import SoundConfig
from systems.style import SPACE, MotionSpace
from systems.sync import SyncConfig
from tests.helpers import forked
from tests.helpers.failing import check_error, fails
from tests.helpers.seeded import seeded
from tests.helpers.toy import talking
from video import write_video

ROOT = Path(__file__).resolve().parents[1]
VENV = Path(os.environ.get("VENV", ROOT / ".venv"))
EXPERT = SyncConfig(size=32, shrink=1, widths=(32, 32), embedding=16, sound=SoundConfig(res_blocks=1))
TINY = [
    "model.unet.image_size=32", "model.unet.channels=32", "model.unet.head_channels=32",
    "model.unet.channel_mult=[1]", "model.unet.res_blocks=1",
    "model.unet.attention_resolutions=[]", "model.sound.res_blocks=1", "model.sampling.spacing=1",
    "loss.perceptual=0", "loss.discriminator.widths=[32,32]",
    "train.steps=1", "train.batch=1", "train.accumulate=1", "train.precision=fp32", "train.evaluate_every=1",
    "train.log_every=1",
]  # fmt: skip

TWO_STEPS = ["train.steps=2", "train.learning_rate=1e-3"]
TINY_SYNCDIFF = [
    *(setting for setting in TINY if setting.startswith(("model.unet", "model.sampling", "train."))),
    "model.unet.patch=1", "model.mel.res_blocks=1", "model.pose.widths=[32]", "train.precision=fp32", "train.warmup=0",
    "loss.own_output=1", "loss.own_warmup=2", "loss.train_audio_encoder=true",
]  # fmt: skip


@pytest.fixture
@seeded()
def expert(tmp_path: Path) -> Path:
    model = build("sync", EXPERT)
    save_checkpoint(tmp_path / "expert.safetensors", describe("sync", model, 0, model.state_dict()))
    return tmp_path / "expert.safetensors"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, split in enumerate(["train", "train", "test", "test", "seen", "seen"]):
        save_clip(tmp_path / "data" / split / "ann" / f"clip{number}.npz", talking(number))
    return tmp_path / "data"


def program(*words: str | Path, **environment: str) -> str:
    """What a program of this project said, as `python` runs it."""
    done = forked.run(words, cwd=ROOT, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_an_expert_is_measured_and_measures(data: Path, expert: Path, tmp_path: Path) -> None:
    evaluation = ["-m", "evaluation"]
    script = [*evaluation, "sync", "--data", data, "--expert", expert, "--clips", "1"]
    printed = program(*script)
    assert "| seen | 2 |" in printed and "shift found" in printed

    settings = [setting for setting in TINY if setting.startswith("model.")]
    chosen = find_preset("diff2lip-128").changed(settings)
    model = build("diff2lip", chosen.model)
    checkpoint = tmp_path / "tiny.safetensors"
    save_checkpoint(checkpoint, describe("diff2lip", model, 0, model.state_dict()))
    printed = program(*script, "--model_path", checkpoint, "--sampler", "dpm++", "--steps", "1", "2")
    drift = program(*evaluation, "drift", "--data", data, "--model_path", checkpoint, "--frames", "70", "--clips", "1")
    assert "| 0-63 |" in drift and "| 64-69 |" in drift
    rows = [f"| tiny | dpm++ {steps} | {split} | 1 |" for steps in "12" for split in ("seen", "test")]
    assert all(row in printed for row in rows)


def same_weights(one: Path, other: Path) -> bool:
    first, second = (torch.load(run / "state.pt", weights_only=True)["weights"] for run in (one, other))
    return first.keys() == second.keys() and all(torch.allclose(first[k], second[k], atol=2e-4) for k in first)


@pytest.mark.slow
@pytest.mark.skipif(not (VENV / "requirements.txt.sha256").exists(), reason="run by scripts/test.sh, which sets up")
def test_train_sh_on_two_processes_does_what_one_does_that_accumulates(
    data: Path, expert: Path, tmp_path: Path
) -> None:
    """By torchrun, with every term of Diff2Lip but LPIPS: GAN and expert included."""
    flags = [word for setting in (*TINY, *TWO_STEPS) for word in ("--set", setting)]
    run(ROOT / "scripts" / "train.sh", "--device", "cpu", *flags, real_video_root=str(data), workers="0",
        expert=str(expert), output=str(tmp_path / "two"), NUM_GPUS="2", OMP_NUM_THREADS="1",
        VENV=str(VENV))  # fmt: skip
    log = (tmp_path / "two" / "network" / "log.jsonl").read_text()
    assert all(term in log for term in ("network/sync", "network/adversarial", "discriminator/hinge"))
    program(ROOT / "train.py", "--system", "diff2lip-128", "--data", data, "--expert", expert, "--device", "cpu",
            "--output", tmp_path / "one", *flags, "--set", "train.accumulate=2")  # fmt: skip
    assert same_weights(tmp_path / "one", tmp_path / "two" / "network")


@pytest.mark.slow
def test_so_do_two_that_are_shown_their_own_frames(data: Path, tmp_path: Path) -> None:
    """SyncDiff, with its own frames as pose."""
    flags = [word for setting in (*TINY_SYNCDIFF, *TWO_STEPS) for word in ("--set", setting)]
    train = [ROOT / "train.py", "--system", "syncdiff-small", "--data", data, "--device", "cpu", *flags]
    program(*train, "--output", tmp_path / "one", "--set", "train.accumulate=2")
    two = forked.start_group(2, [*train, "--output", tmp_path / "two"])
    assert [done.returncode for done in forked.ended(two)] == [0, 0]
    assert same_weights(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_prepare_leaves_out_what_the_expert_is_unsure_of(expert: Path, tmp_path: Path) -> None:
    """An expert that has learnt nothing is sure of nothing."""
    from tests.helpers.talking_head import tone

    clip = talking(0, frames=30, size=128)
    write_video(tmp_path / "a.mp4", iter(clip.faces), Fraction(25), sound=tone(tmp_path / "t.wav", 1.2))
    (tmp_path / "list.csv").write_text("file,split,speaker\na.mp4,train,ann\n")
    script = [ROOT / "scripts" / "prepare.py", "--list", tmp_path / "list.csv", "--expert", expert]
    settings = ["--size", "32", "--workers", "0", "--min_seconds", "0.4"]
    strict = [*script, *settings, "--output", tmp_path / "strict", "--min_confidence", "1.9"]
    done = forked.run(strict, cwd=ROOT, env=os.environ)
    assert done.returncode == 2
    check_error(done.stderr, tmp_path / "strict", "no clips", "sync confidence below 1.9")
    program(*script, *settings, "--output", tmp_path / "lax", "--min_confidence", "-1")
    assert not list((tmp_path / "strict").glob("*/*/*.npz"))
    (entry,) = entries(tmp_path / "lax", "train")
    kept = load_clip(entry)
    assert ExpertScorer(expert)(kept.faces, kept.mel, kept.fps).confidence < 1.9
    assert ExpertScorer(expert)(kept.faces[:3], kept.mel, kept.fps).confidence == 0


@pytest.mark.slow
def test_a_pack_keeps_the_space_of_its_motion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Landmarker(contextlib.nullcontext["Landmarker"]):
        """Stands in for MediaPipe: one face in all frames."""

        def __init__(self, *_: object) -> None:
            super().__init__(self)

        def find_in_space(self, pictures: np.ndarray) -> np.ndarray:
            face = np.random.default_rng(0).uniform(60, 200, (len(pack_training.LOOKED), 3))
            return np.repeat(face[None], len(pictures), axis=0).astype(np.float32)

    write_video(tmp_path / "a.mp4", iter(talking(0, frames=5, size=64).faces), Fraction(25))
    (tmp_path / "list.csv").write_text("file,split,speaker\na.mp4,train,ann\n")
    stage1 = ROOT / "checkpoints" / "style-small"
    words = ["--list", tmp_path / "list.csv", "--output", tmp_path / "pack", "--landmarker", "x", "--motion", stage1]
    monkeypatch.setattr(sys, "argv", ["pack_training.py", *map(str, words)])
    monkeypatch.setattr(pack_training, "MediaPipe", Landmarker)
    pack_training.main()
    (clip,) = packed(tmp_path / "pack", 64, "box")["train"]
    space, known = MotionSpace.load(tmp_path / "pack" / SPACE, 16), load_motion(stage1).space.state_dict()
    assert all(torch.equal(value, known[name]) for name, value in space.state_dict().items())
    assert clip.labels.motion.shape == (5, 16)


def test_what_the_expert_is_for_is_said_by_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare.py", "--help"])
    with pytest.raises(SystemExit):
        prepare_with_expert()
    assert "leaves out clips whose sound is not of these lips" in capsys.readouterr().out


def test_a_folder_of_sounds_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark_speech.py", "--data", str(tmp_path / "nope")])
    with fails(NotFound, "--data", "nope"):
        benchmark_speech.main()
