"""Network, diffusion and sampler are the original's: weights and inputs by a formula, its outputs in tests/data.

What the stored arrays are is written in docs/parity.md; they are thinned out to every STRIDE-th row and column.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import Mismatch
from dataset import ClipBatch
from guided_diffusion.diffusion import Diffusion, DiffusionConfig
from guided_diffusion.samplers import SampleConfig, sample
from guided_diffusion.unet import UNetConfig
from scripts.formula import fill, inputs
from systems import registry
from systems.diff2lip import Diff2Lip, Diff2LipConfig, Diff2LipNetwork, specification
from systems.sound import SoundConfig
from tests.helpers.failing import fails

DATA = Path(__file__).parents[1] / "data"
STRIDE = {"tiny64": 5, "tiny128": 9, "damped": 5}
FORWARD, LOOP = 2e-4, 2e-3  # agreement that float32 on another implementation can reach
Denoise = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    torch.set_grad_enabled(False)
    yield
    torch.set_grad_enabled(True)


@cache
def original(name: str) -> np.ndarray:
    with np.load(DATA / "diff2lip_parity.npz") as file:
        return file[name]


def distance(ours: Tensor, name: str) -> float:
    """The largest difference from the original's numbers."""
    theirs = original(name)
    if ours.ndim == 4:
        stride = STRIDE[name.split("/")[0]]
        ours = ours[..., ::stride, ::stride]
    return float((ours - torch.from_numpy(theirs)[: len(ours)]).abs().max())


@cache
def tiny(tag: str) -> Diff2Lip:
    size, mult, blocks = {"tiny64": (64, (1, 2, 3, 4), 1), "tiny128": (128, (1, 1, 2, 3, 4), 2)}[tag]
    model = Diff2Lip(
        Diff2LipConfig(
            unet=UNetConfig(image_size=size, channels=32, channel_mult=mult, res_blocks=blocks, head_channels=32)
        )
    )
    fill(model.network)
    return model.eval()


def case(tag: str, items: int) -> tuple[dict[str, Tensor], Denoise]:
    """The inputs of a case and the original's network on them."""
    model, given = tiny(tag), inputs(tag, items, int(tag.removeprefix("tiny")))
    style = model.network.listen(given["mel"])

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        visible = x * given["mask"] + given["filled"] * (1 - given["mask"])
        return model.network(torch.cat([visible, given["filled"], given["reference"]], 1), t, style=style)

    return given, denoise


def damped(tag: str, items: int) -> tuple[dict[str, Tensor], Callable[..., Tensor]]:
    """The model of docs/parity.md that does not saturate: eps = sqrt(1-a) x + sqrt(a) e / 2, v in [-1, 1]."""
    given, denoise = case(tag, items)
    alpha_bar = torch.from_numpy(Diffusion(DiffusionConfig()).schedule.alpha_bar).float()

    def damped(x: Tensor, t: Tensor) -> Tensor:
        e, v = denoise(x, t).chunk(2, dim=1)
        a = alpha_bar[t].view(-1, 1, 1, 1)
        return torch.cat([(1 - a).sqrt() * x + 0.5 * a.sqrt() * e, v.clamp(-1, 1)], dim=1)

    return given, damped


def no_noise(step: int) -> Tensor:
    raise AssertionError("DDIM draws no noise after the first")


def test_the_released_network_has_the_released_keys_and_shapes() -> None:
    with torch.device("meta"):
        network = Diff2LipNetwork(UNetConfig(), SoundConfig())
    ours = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert ours == json.loads((DATA / "diff2lip_released_shapes.json").read_text())
    assert len(ours) == 632
    assert sum(value.numel() for value in network.parameters()) == 101_670_630


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny64/forward_t0", "tiny64/forward_t40", "tiny64/forward_t960"])
def test_the_network_says_what_the_original_says(name: str) -> None:
    given, denoise = case("tiny64", 2)
    assert distance(denoise(given["noise"], torch.full((2,), int(name.split("_t")[1]))), name) < FORWARD


@pytest.mark.slow
def test_the_network_of_the_released_depth_says_what_the_original_says() -> None:
    given, denoise = case("tiny128", 1)
    assert distance(denoise(given["noise"], torch.tensor([500])), "tiny128/forward_t500") < FORWARD


def test_the_system_composes_the_networks_input_as_the_original_does() -> None:
    model, given = tiny("tiny64"), inputs("tiny64", 2, 64)
    clips = ClipBatch(given["face"][None], given["reference"][None], {"mel": given["mel"][None]}, given["mel"][:1])
    conditions = model.conditions(clips, given["noise"])
    output = model.denoise(given["noise"], torch.full((2,), 40), conditions)
    assert distance(output, "tiny64/forward_t40") < FORWARD


@pytest.mark.slow
def test_the_sampling_loop_ends_where_the_original_ends() -> None:
    given, denoise = case("tiny128", 1)
    ours = sample(denoise, given["noise"], Diffusion(DiffusionConfig()), SampleConfig(spacing="ddim5"), no_noise)
    assert distance(ours, "tiny128/sample_ddim5") < LOOP
    composite = ours * given["mask"] + given["face"] * (1 - given["mask"])
    assert distance(composite, "tiny128/composite") < LOOP


@pytest.mark.slow
def test_the_sampling_loop_ends_where_the_original_ends_without_saturating() -> None:
    given, denoise = damped("tiny64", 1)
    ours = sample(denoise, given["noise"][:1], Diffusion(DiffusionConfig()), SampleConfig(), no_noise)
    assert distance(ours, "damped/sample") < LOOP
    assert distance(ours * given["mask"] + given["face"] * (1 - given["mask"]), "damped/composite") < LOOP


def test_ddim25_visits_the_originals_timesteps() -> None:
    spaced = Diffusion(DiffusionConfig()).respaced("ddim25")
    assert np.array_equal(spaced.schedule.timesteps, original("damped/timestep_map"))


@pytest.mark.parametrize("index", [0, 3, 24])
def test_the_reverse_step_is_the_originals(index: int) -> None:
    given, denoise = damped("tiny64", 2)
    spaced = Diffusion(DiffusionConfig()).respaced("ddim25")
    step, x = torch.full((2,), index), given["noise"]
    prediction = spaced.interpret(denoise(x, spaced.timesteps(step)), x, step, clip=True)
    assert distance(prediction.x0, f"damped/p_pred_xstart_i{index}") < FORWARD
    assert distance(prediction.log_variance, f"damped/p_log_variance_i{index}") < FORWARD
    assert distance(spaced.reverse_mean(prediction.x0, x, step), f"damped/p_mean_i{index}") < FORWARD


def test_the_variational_term_is_the_originals() -> None:
    given, denoise = damped("tiny64", 2)
    diffusion, step = Diffusion(DiffusionConfig()), torch.tensor([7, 613])
    x_t = diffusion.q_sample(given["face"], step, given["reference"])
    assert distance(x_t, "damped/q_sample") < FORWARD
    prediction = diffusion.interpret(denoise(x_t, step), x_t, step, clip=False)
    bits = diffusion.variational_term(given["face"], x_t, prediction, step, given["mask"])
    assert distance(bits, "damped/vb_bpd") < 1e-6


def test_a_released_file_is_recognised_by_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare .pt, with nothing said about it; the released architecture is made small here to be quick."""
    small = Diff2LipConfig(unet=UNetConfig(image_size=32, channels=32, channel_mult=(1, 2), head_channels=32))
    monkeypatch.setattr(specification, "Diff2LipConfig", lambda: small)
    weights = Diff2Lip(small).network.state_dict()
    torch.save(weights, tmp_path / "release.pt")
    model = registry.load_system(tmp_path / "release.pt")
    assert isinstance(model, Diff2Lip) and model.config == small and not model.training
    assert all(torch.equal(value, weights[name]) for name, value in model.network.state_dict().items())


def test_a_released_file_with_a_wrong_shape_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Diff2LipConfig(unet=UNetConfig(image_size=32, channels=32, channel_mult=(1, 2), head_channels=32))
    monkeypatch.setattr(specification, "Diff2LipConfig", lambda: small)
    weights = Diff2Lip(small).network.state_dict()
    torch.save(weights | {"out.2.bias": torch.zeros(7)}, tmp_path / "release.pt")
    with fails(Mismatch, "release.pt", "out.2.bias", "(7,)", "(6,)"):
        registry.load(tmp_path / "release.pt")


@pytest.mark.slow
def test_a_file_of_the_released_size_loads_with_no_other_information(tmp_path: Path) -> None:
    shapes = json.loads((DATA / "diff2lip_released_shapes.json").read_text())
    weights = {name: torch.full(shape, 0.01, dtype=torch.float16) for name, shape in shapes.items()}
    torch.save(weights, tmp_path / "e7.15_model260000_notUsedFrozenSyncnet.pt")
    del weights
    model = registry.load_system(tmp_path / "e7.15_model260000_notUsedFrozenSyncnet.pt")
    assert model.size == 128 and model.sampling == SampleConfig(sampler="ddim", spacing="ddim25")
    assert model.network.out[2].weight.dtype == torch.float32
