"""scripts/few_steps.py: what is made in few steps is measured against the real faces."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import BadInput, NotFound
from dataset import ClipBatch
from guided_diffusion.engine.checkpoint import save_checkpoint
from guided_diffusion.samplers import SampleConfig
from scripts import few_steps
from systems import registry
from systems.diff2lip import Diff2Lip
from tests.helpers.failing import fails
from tests.helpers.tiny import OURS
from tests.helpers.tiny_motion import prepare
from tests.helpers.tiny_style import save


class Reader:
    """Reads how bright the lower half is."""

    space = property(lambda self: self)

    def read(self, faces: torch.Tensor) -> torch.Tensor:
        return faces[..., faces.shape[-2] // 2 :, :].mean(dim=(1, 2, 3))

    def opening(self, motion: torch.Tensor) -> torch.Tensor:
        return motion


def test_the_real_faces_are_as_sharp_and_as_open_as_themselves() -> None:
    draw = torch.Generator().manual_seed(0)
    faces = torch.rand(8, 1, 3, 16, 16, generator=draw) * torch.rand(8, 1, 1, 1, 1, generator=draw)
    clips = ClipBatch(faces, faces, {}, torch.zeros(8, 80, 16), clip=torch.arange(2).repeat_interleave(4))
    found = few_steps.figures(faces[:, 0].clone(), clips, Reader())
    assert found["sharpness"] == found["range"] == 1 and found["r"] == pytest.approx(1)
    half = few_steps.figures(faces[:, 0] / 2, clips, Reader())
    assert half["range"] == pytest.approx(0.5) and half["sharpness"] == pytest.approx(0.5)
    assert half["PSNR"] < 40 and half["r"] == pytest.approx(1)


def test_steps_name_a_sampler_or_keep_the_checkpoints() -> None:
    system = Diff2Lip(replace(OURS, sampling=SampleConfig("dpm++", "3")))
    assert few_steps.sampling(system, "1") == SampleConfig("dpm++", "1")
    assert few_steps.sampling(system, "ddim:ddim25") == SampleConfig("ddim", "ddim25")
    with pytest.raises(BadInput, match="euler"):
        few_steps.sampling(system, "euler:2")


def test_what_is_refused_has_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["few_steps.py", "--data", str(tmp_path), "--model_path", str(tmp_path / "nope.safetensors")]
    monkeypatch.setattr(few_steps.registry, "load_motion", lambda path: Reader())
    monkeypatch.setattr(sys, "argv", words)
    with fails(NotFound, "nope.safetensors"):
        few_steps.main()
    assert not capsys.readouterr().out


@pytest.mark.slow
def test_a_table_of_two_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "style").mkdir()
    model = Diff2Lip(OURS)
    save_checkpoint(tmp_path / "small.safetensors", registry.describe("diff2lip", model, 1, model.state_dict()))
    models = [tmp_path / "small.safetensors", save(tmp_path / "style")]
    words = ["--data", prepare(tmp_path / "data"), "--model_path", *models, "--reader", tmp_path / "style",
             "--steps", "1", "ddim:2", "--clips", 2, "--frames", 3, "--device", "cpu"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["few_steps.py", *map(str, words)])
    few_steps.main()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [row[:3] for row in rows[2:]] == [
        [name, steps, split] for name in ("small", "style") for steps in ("1", "ddim:2") for split in ("seen", "test")
    ]
    assert all(float(cell) == float(cell) for row in rows[2:] for cell in row[3:])
