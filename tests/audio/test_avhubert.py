"""AV-HuBERT's sound path: the published keys fit and nothing else does, and a feature knows its window alone."""

import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from audio import FilterBanks
from audio.avhubert import AvHubert, AvHubertConfig, sound_path
from scripts.formula import formula
from tests.helpers.failing import fails
from tests.helpers.fairseq import sound_layout
from tests.helpers.seeded import seeded

SHARED = Path(__file__).parents[3] / "shared" / "parity" / "avhubert_base_audio_keys.json"
TINY = AvHubertConfig(layers=3, width=32, heads=2, hidden=64, kernel=8, groups=4)


@seeded()
def model(config: AvHubertConfig = TINY) -> AvHubert:
    return AvHubert(config).eval()


def rows(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, length, 104, generator=torch.Generator().manual_seed(seed))


def test_its_keys_are_the_published_ones() -> None:
    with torch.device("meta"):
        own = {name: tuple(value.shape) for name, value in AvHubert(AvHubertConfig()).state_dict().items()}
    assert own == {name: shape for name, shape in sound_layout(AvHubertConfig()).items() if name != "mask_emb"}


def test_the_published_keys_are_those_of_the_layout_file() -> None:
    if not SHARED.is_file():
        pytest.skip("the layout file lies beside the project, not in it")
    layout = {name: tuple(shape) for name, shape in json.loads(SHARED.read_text()).items()}
    assert layout == sound_layout(AvHubertConfig())


def test_what_is_of_other_paths_is_dropped_by_name_and_nothing_else() -> None:
    video = {"feature_extractor_video.resnet.frontend3D.0.weight", "final_proj.weight", "label_embs_concat", "mask_emb"}
    weights = dict.fromkeys([*video, "encoder.layer_norm.weight", "decoder.embed.weight"], torch.zeros(1))
    assert set(sound_path(weights)) == {"encoder.layer_norm.weight", "decoder.embed.weight"}


def test_one_layer_is_what_the_formulas_say() -> None:
    """The whole path, once more, in numpy and float64."""
    config = replace(TINY, layers=1, heads=2)
    ours = model(config)
    state = {name: formula(name, tuple(value.shape), 0.3) for name, value in ours.state_dict().items()}
    ours.load_state_dict(state)
    w = {name: value.double().numpy() for name, value in state.items()}
    x = rows(5).double().numpy()

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def gelu(x: np.ndarray) -> np.ndarray:
        return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    sound = linear(x, "feature_extractor_audio.proj")
    h = linear(norm(np.concatenate([sound, np.zeros_like(sound)], -1), "layer_norm"), "post_extract_proj")
    v, g = w["encoder.pos_conv.0.weight_v"], w["encoder.pos_conv.0.weight_g"]
    kernel = v * g / np.sqrt((v**2).sum((0, 1), keepdims=True))
    padded = np.pad(h, ((0, 0), (4, 4), (0, 0)))
    position = np.zeros_like(h)
    for out in range(32):
        group = slice(out // 8 * 8, out // 8 * 8 + 8)
        for t in range(5):
            position[:, t, out] = np.einsum("bkc,ck->b", padded[:, t : t + 8, group], kernel[out])
    h = h + gelu(position + w["encoder.pos_conv.0.bias"])
    layer = "encoder.layers.0"
    normed = norm(h, f"{layer}.self_attn_layer_norm")
    q, k, value = (
        linear(normed, f"{layer}.self_attn.{name}_proj").reshape(2, 5, 2, 16).transpose(0, 2, 1, 3) for name in "qkv"
    )
    logits = q @ k.transpose(0, 1, 3, 2) / 4
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    attended = (weights / weights.sum(-1, keepdims=True)) @ value
    h = h + linear(attended.transpose(0, 2, 1, 3).reshape(2, 5, 32), f"{layer}.self_attn.out_proj")
    h = h + linear(gelu(linear(norm(h, f"{layer}.final_layer_norm"), f"{layer}.fc1")), f"{layer}.fc2")
    with torch.no_grad():
        assert np.abs(ours(rows(5), layer=1).numpy() - h).max() < 1e-4
        assert np.abs(ours(rows(5)).numpy() - norm(h, "encoder.layer_norm")).max() < 1e-4


@pytest.mark.parametrize("kernel", [7, 8])
@pytest.mark.parametrize("length", [1, 5, 20])
def test_any_layer_gives_a_feature_for_each_row(length: int, kernel: int) -> None:
    ears = model(replace(TINY, kernel=kernel))
    with torch.no_grad():
        outputs = [ears(rows(length), layer=layer) for layer in (1, 2, 3, None)]
        assert all(output.shape == (2, length, 32) for output in outputs)
        assert len({float(output.sum()) for output in outputs}) == 4
        assert torch.allclose(ears.encoder.layer_norm(outputs[2]), outputs[3], atol=1e-6)
        for layer in (0, 4):
            with fails(ValueError, "layers 1 to 3", layer):
                ears(rows(5), layer=layer)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_get_no_gradient_and_the_others_do(frozen: int) -> None:
    ears = model()
    ears.freeze(frozen)
    ears(rows(6)).square().mean().backward()
    first = [f"encoder.layers.{layer}." for layer in range(frozen)]
    front = ["feature_extractor_audio.", "layer_norm.", "post_extract_proj.", "encoder.pos_conv."] if frozen else []
    fixed = tuple(first + front)
    for name, parameter in ears.named_parameters():
        if name.startswith(fixed):
            assert parameter.grad is None and not parameter.requires_grad
        elif not name.endswith("k_proj.bias"):  # softmax does not see what all keys have in common
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_freezing_all_leaves_nothing_to_learn() -> None:
    ears = model()
    ears.freeze(3)
    assert not any(parameter.requires_grad for parameter in ears.parameters())
    with fails(ValueError, 3, 4):
        ears.freeze(4)


def test_a_feature_knows_all_of_its_window_and_nothing_beyond() -> None:
    """Attention is full: the field of frame k is its window of rows, here 10 from 5 before it, and ends there."""
    ears, fps, frame, wide = model(), Fraction(25), 20, 10
    columns = np.random.default_rng(0).normal(size=(400, 26)).astype(np.float32)

    def feature(columns: np.ndarray) -> torch.Tensor:
        window = torch.from_numpy(FilterBanks(columns).windows(frame, frame + 1, fps, wide))
        with torch.no_grad():
            return ears(window)[0, wide // 2]

    plain = feature(columns)
    first, stop = 4 * (frame - wide // 2), 4 * (frame + wide - wide // 2)
    for column in (first - 1, stop, 399, 0):
        changed = columns.copy()
        changed[column] += 5
        assert torch.equal(feature(changed), plain)
    for column in (first, stop - 1):
        changed = columns.copy()
        changed[column] *= -3
        assert not torch.allclose(feature(changed), plain, atol=1e-5)


def test_an_impossible_config_is_refused() -> None:
    for changes in ({"width": 33}, {"groups": 5}):
        with fails(ValueError, *changes.values()):
            replace(TINY, **changes)  # type: ignore[arg-type]
    with fails(ValueError, "layer", "kernel"):
        replace(TINY, layers=0)
