"""Fine-tuning on one person: what is learnt and what is held out lie apart, and one command makes a model."""

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import BadInput, Mismatch, Unreadable, Unwritable
from core.program import exit_code
from face_detection import FaceTrack, voxceleb2_box
from guided_diffusion.engine.checkpoint import save_checkpoint
from scripts import finetune
from scripts.person_pack import crop_of, stretches
from systems import registry
from systems.components import Component, Components
from systems.style import LipMotion, Renderer
from tests.helpers.failing import fails
from tests.helpers.talking_head import talking, tone
from tests.helpers.tiny_motion import CONFIG, space
from tests.helpers.tiny_style import filled
from video import VideoInfo, write_video

TINY = [
    "model.unet.image_size=32", "model.unet.channels=32", "model.unet.channel_mult=[1,2]", "model.unet.patch=1",
    "model.unet.head_channels=32", "model.unet.attention_resolutions=[]", "model.modulation=16",
    "model.context_dim=16", f"model.motion_dim={CONFIG.motion_dim}",
]  # fmt: skip
SHORT = ["train.steps=2", "train.batch=2", "train.warmup=0", "train.precision=fp32", "train.evaluate_every=2"]


def info(frames: int, fps: int = 25) -> VideoInfo:
    return VideoInfo(Path("v.mp4"), Fraction(fps), frames, 100, 100, True, False)


def test_what_is_held_out_is_the_end_and_a_second_is_in_neither() -> None:
    track = FaceTrack(np.tile(np.array([[20, 10, 60, 60]], np.float32), (500, 1)), np.ones(500, bool), (0, 90))
    found = list(stretches(track, info(500), 0.2))
    held = [one for one in found if one.split == "seen"]
    learnt = [one for one in found if one.split == "train"]
    assert [(one.start, one.stop) for one in held] == [(400, 500)]
    assert learnt[0].start == 0 and max(one.stop for one in learnt) == 375
    assert all(25 <= one.stop - one.start <= 125 and not one.start < 90 < one.stop for one in found)
    seen = np.ones(500, bool)
    seen[100:480] = False  # what is left of the end is too short
    boxes = np.where(seen[:, None], track.boxes, np.nan).astype(np.float32)
    assert {one.split for one in stretches(FaceTrack(boxes, seen, (0,)), info(500), 0.2)} == {"train"}


def test_a_crop_shows_a_face_as_voxceleb2_does() -> None:
    square = crop_of(np.tile(np.array([[45.0, 10, 155, 150]], np.float32), (3, 1)))
    face = voxceleb2_box(200, 200)
    assert (square.width, square.height) == pytest.approx((200, 200))
    assert (face.x0 + square.x0, face.y0 + square.y0) == pytest.approx((45, 10), abs=0.5)
    assert face.width == pytest.approx(110, abs=1)


def test_sharpness_falls_with_blur_and_a_table_says_what_is_sure() -> None:
    noise = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert (finetune.detail(torch.nn.functional.avg_pool2d(noise, 3, 1, 1)) < finetune.detail(noise)).all()
    rows = [finetune.Change("psnr", 20.0, 21.0, 1.0, 0.5, 1.5, 8), finetune.Change("ssim", 0.6, 0.6, 0.0, -0.1, 0.1, 8)]
    said = finetune.table(rows).splitlines()
    assert said[2].endswith("| +1.000 [+0.500, +1.500] | shown |") and "not shown" in said[3]


MADE_OF = {"videos": ["/ann.mp4"], "held_out": 0.2, "face_detector": "auto", "motion": "0123456789abcdef"}


def clips_of(folder: Path, *names: str) -> list[str]:
    """Adds clips to a pack and says which are there."""
    for name in names:
        (folder / "piece-000").mkdir(parents=True, exist_ok=True)
        (folder / "piece-000" / name).touch()
    return sorted(path.name for path in (folder / "piece-000").iterdir())


def test_a_pack_is_made_once_and_of_nothing_else(tmp_path: Path) -> None:
    pack = tmp_path / "run" / "pack"
    finetune.keep_whole(pack, MADE_OF, lambda folder: clips_of(folder, "a.mp4"))
    finetune.keep_whole(pack, MADE_OF, lambda folder: clips_of(folder, "b.mp4"))
    assert clips_of(pack) == ["a.mp4"] and [path.name for path in pack.parent.iterdir()] == ["pack"]
    for name, other, named in [
        ("videos", ["/bob.mp4"], "other videos"),
        ("held_out", 0.4, "--held_out 0.2"),
        ("face_detector", "haar", "--face_detector auto"),
        ("motion", "f" * 16, "--model_path"),
    ]:
        with fails(Mismatch, tmp_path / "run", named, "choose another folder"):
            finetune.keep_whole(pack, MADE_OF | {name: other}, lambda folder: clips_of(folder, "b.mp4"))
    assert clips_of(pack) == ["a.mp4"]


def test_what_a_run_that_was_killed_had_packed_is_not_learnt_from(tmp_path: Path) -> None:
    pack = tmp_path / "pack"

    def killed(folder: Path) -> None:
        clips_of(folder, "00__007.mp4")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune.keep_whole(pack, MADE_OF, killed)
    assert not pack.exists()
    other = MADE_OF | {"videos": ["/bob.mp4"], "held_out": 0.4}
    finetune.keep_whole(pack, other, lambda folder: clips_of(folder, "00__000.mp4"))
    assert clips_of(pack) == ["00__000.mp4"]
    with fails(Mismatch, "other videos"):
        finetune.keep_whole(pack, MADE_OF, killed)


def test_a_pack_of_an_older_version_is_learnt_from_if_it_is_whole(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    clips_of(pack, "a.mp4")
    with fails(Unwritable, pack, "move it away", "--output"):  # it was killed, nobody knows of what
        finetune.keep_whole(pack, MADE_OF, lambda folder: clips_of(folder, "b.mp4"))
    (pack / finetune.MADE_OF).write_text('[0.2, "/ann.mp4"]')
    finetune.keep_whole(pack, MADE_OF, lambda folder: clips_of(folder, "b.mp4"))
    with fails(Mismatch, "--held_out 0.2"):
        finetune.keep_whole(pack, MADE_OF | {"held_out": 0.4}, lambda folder: clips_of(folder, "b.mp4"))
    with fails(Mismatch, "other videos"):
        finetune.keep_whole(pack, MADE_OF | {"videos": []}, lambda folder: clips_of(folder, "b.mp4"))
    assert clips_of(pack) == ["a.mp4"]
    (pack / finetune.MADE_OF).write_text("{}")
    with fails(Unreadable, finetune.MADE_OF, "--output"):
        finetune.keep_whole(pack, MADE_OF, lambda folder: clips_of(folder, "b.mp4"))


def test_a_pack_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    def refuses(folder: Path) -> None:
        clips_of(folder, "00__000.mp4")
        raise BadInput("a.mp4: give longer videos")

    with fails(BadInput, "longer"):
        finetune.keep_whole(tmp_path / "run" / "pack", MADE_OF, refuses)
    assert not list(tmp_path.iterdir())


def test_nothing_of_somebody_else_is_removed(tmp_path: Path) -> None:
    clips_of(tmp_path / finetune.UNFINISHED, "mine.mp4")
    with fails(Unwritable, finetune.UNFINISHED, "move it away"):
        finetune.keep_whole(tmp_path / "pack", MADE_OF, lambda folder: clips_of(folder, "b.mp4"))
    assert clips_of(tmp_path / finetune.UNFINISHED) == ["mine.mp4"]


def model(folder: Path) -> Path:
    """A style model of the size of a thumbnail, in two files."""
    folder.mkdir()
    motion = filled(LipMotion(CONFIG))
    motion.space = space()
    save_checkpoint(folder / "motion.safetensors", registry.describe("motion", motion, 1, motion.state_dict()))
    config = registry.find_preset(finetune.PRESET).changed(TINY).model
    fitted = Components(motion=Component(motion, folder / "motion.safetensors")).fitted(config)
    renderer = filled(Renderer(fitted))
    save_checkpoint(folder / "weights.safetensors", registry.describe("style", renderer, 1, renderer.state_dict()))
    return folder


@pytest.mark.slow
def test_one_command_learns_measures_and_makes_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = model(tmp_path / "begun")
    sound = tone(tmp_path / "words.wav", 6)
    write_video(tmp_path / "ann.mp4", talking(72), Fraction(12), sound=sound)
    output = tmp_path / "runs"

    def run(*more: object) -> int:
        words = [tmp_path / "ann.mp4", "--output", output, "--model_path", begun, "--device", "cpu", *more]
        words += [word for setting in [*TINY, *SHORT] for word in ("--set", setting)]
        monkeypatch.setattr(sys, "argv", ["finetune.py", *map(str, words)])
        return exit_code(finetune.run)

    assert run() == 0
    said = capsys.readouterr().out
    assert "| PSNR of the mouth half, dB |" in said and "stretches of half a second" in said
    figures = {one["figure"]: one for one in json.loads((output / "figures.json").read_text())}
    assert set(figures) == {"psnr", "ssim", "sharpness"} and figures["psnr"]["stretches"] >= 2
    assert registry.load_system(output).config == registry.load_system(begun).config
    weights = [registry.load_system(folder).network.state_dict() for folder in (begun, output)]
    assert any(not torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert run("--held_out", "0.4") == 2 and "choose another folder" in capsys.readouterr().err
    assert run("--face_detector", "haar") == 2 and "--face_detector auto" in capsys.readouterr().err
    assert run("--held_out", "2") == 2
