"""The benchmark of the papers' presets runs at the size of a thumbnail, and goes on where one of them fails."""

import json
from pathlib import Path

import pytest

from scripts.benchmark_presets import PAPER, main, measure
from systems.registry import find_preset

TINY = [
    "model.unet.image_size=32", "model.unet.channels=32", "model.unet.head_channels=32", "model.unet.channel_mult=[1]",
    "model.unet.res_blocks=1", "model.unet.attention_resolutions=[]", "train.precision=fp32",
]  # fmt: skip
FLAGS = ["--batch", "1", "--seconds", "0.01", "--device", "cpu"]


def test_a_preset_is_measured() -> None:
    found = measure("style-128", [*TINY, "model.latents=[8,8,8]"], 2, 0.01, 60, "cpu")
    assert found.batch == 2 and found.steps >= 1 and found.seconds > 0 and found.gflop > 0
    assert found.row.startswith("| style-128 | 2 x 1, fp32 |") and found.row.count("|") == 10
    assert found.faces_to_train == find_preset("style-128").train.steps * 64


@pytest.mark.slow
def test_one_that_fails_is_a_row_and_the_others_go_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = [word for setting in TINY for word in ("--set", setting)]
    output = tmp_path / "figures.json"
    assert main(["--system", "diff2lip-128", "--limit", "0.001", *FLAGS, *settings]) == 5
    assert "| diff2lip-128 | had no figures after 0 s |" in capfd.readouterr().out
    assert main(["--system", "style-128", "diff2lip-256", *FLAGS, *settings, "--output", str(output)]) == 5
    said = capfd.readouterr()
    assert "| style-128 | failed with exit code 1; the reason is above |" in said.out  # latents of 128 px do not fit 32
    assert "| diff2lip-256 | 1 x 5, fp32 |" in said.out and "1 of 2 presets have no figures" in said.err
    assert [one["preset"] for one in json.loads(output.read_text())] == ["diff2lip-256"]


def test_what_cannot_be_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--system", "nobody", *FLAGS]) == 2 and "nobody: unknown" in capsys.readouterr().err
    assert main(["--seconds", "0"]) == 2
    assert all(find_preset(name).train.precision == "bf16" for name in PAPER)
