"""What presets cost on paper: figures that are known otherwise, and that more is dearer."""

import pytest

from scripts.model_costs import as_counted, cost, main
from scripts.scaling import main as scaling
from scripts.scaling import scaled
from systems.preset import Preset
from systems.registry import find_preset, presets

TINY = ["model.unet.image_size=32", "model.unet.channels=32", "model.unet.head_channels=32",
        "model.unet.channel_mult=[1,2]", "model.unet.attention_resolutions=[]", "model.unet.patch=1"]  # fmt: skip


def tiny(name: str) -> Preset:
    space = ["model.latents=[]"] if name.startswith("style") else []
    return as_counted(find_preset(name).changed([*TINY, *space, "loss.sync=0"]))


@pytest.mark.slow
def test_the_released_network_has_its_parameters_and_its_flop() -> None:
    """101,670,630 parameters (docs/parity.md)."""
    found = cost(as_counted(find_preset("diff2lip-128").changed(["loss.sync=0", "loss.adversarial=0"])), 1)
    assert found.parameters == found.trained == 101_670_630
    assert found.forward is not None and 140 < found.forward < 330
    assert 2.5 * found.forward < found.training < 3.5 * found.forward


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diff2lip-small", "syncdiff-small", "style-small"])
def test_a_sequence_more_costs_memory_and_the_same_arithmetic_a_face(name: str) -> None:
    few, many = (cost(tiny(name), sequences) for sequences in (2, 8))
    assert few.memory < many.memory and few.training == pytest.approx(many.training, rel=0.05)
    assert few.forward is not None and few.training > few.forward


@pytest.mark.slow
def test_a_row_for_each_preset_and_days_for_a_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--system", "autoencoder", "motion-reader", "--batch", "2", "--tflops", "10"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[2:]] == ["| autoencoder", "| motion-reader"]
    assert "days on 1, 8 GPUs" in rows[0][-1] and rows[2][4] == "2 x 1"
    assert main(["--system", "nobody"]) == 2 and main(["--batch", "-1"]) == 2


def test_scaling_is_arithmetic(capsys: pytest.CaptureFixture[str]) -> None:
    found = scaled(100_000_000, 500, 160, 64, tflops=100, link=50)
    assert found.gradients == 4e8
    assert found.exchange == pytest.approx(2 * 63 / 64 * 0.008) and found.step == pytest.approx(0.8)
    assert found.efficiency == pytest.approx(0.8 / (0.8 + found.exchange))
    assert scaled(1, 1, 1, 1, tflops=1, link=1).exchange == 0
    assert scaling(["--tflops", "10", "--system", "autoencoder"]) == 0
    assert "| autoencoder | 4 |" in capsys.readouterr().out
    for rate in ("0", "nan", "inf"):
        assert scaling(["--tflops", rate]) == scaling(["--tflops", "1", "--link", rate]) == 2
    assert main(["--tflops", "nan"]) == main(["--tflops", "-1"]) == 2
    assert "autoencoder" in presets()
