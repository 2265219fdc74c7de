"""The network keeps sizes, every door lets its condition in, and impossible shapes are refused at birth."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor, nn

from guided_diffusion.blocks import AttentionBlock, Resample, ResBlock, timestep_embedding
from guided_diffusion.unet import UNet, UNetConfig
from scripts.formula import fill
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded

SMALL = UNetConfig(
    image_size=16, in_channels=4, out_channels=3, channels=32, channel_mult=(1, 2), res_blocks=1,
    attention_resolutions=(8,), head_channels=32,
)  # fmt: skip


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def network(config: UNetConfig) -> UNet:
    unet = fill(UNet(config))
    assert isinstance(unet, UNet)
    return unet.requires_grad_(False)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, patch=4, image_size=32),
        replace(SMALL, patch=2, scale_shift_norm=True),
        replace(SMALL, channel_mult=(1, 1, 2), res_blocks=2, attention_resolutions=()),
    ],
)
def test_what_comes_out_has_the_size_of_what_goes_in(config: UNetConfig) -> None:
    size = config.image_size
    assert UNet(config)(random(2, 4, size, size), torch.tensor([0, 999])).shape == (2, 3, size, size)


def test_a_fresh_network_says_nothing() -> None:
    """The head starts at zero, so training starts from a prediction of zero."""
    assert (UNet(SMALL)(random(1, 4, 16, 16), torch.tensor([3])) == 0).all()


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, scale_shift_norm=True), replace(SMALL, patch=2)])
def test_every_door_lets_its_condition_in(config: UNetConfig) -> None:
    config = replace(config, context_channels=7)
    unet, x, t = network(config), random(2, 4, 16, 16), torch.tensor([10, 500])
    style, context = random(2, config.embedding, seed=1), random(2, 5, 7, seed=2)
    outputs = [
        unet(x, t),
        unet(x + random(2, 4, 16, 16, seed=3), t),
        unet(x, t + 100),
        unet(x, t, style=style),
        unet(x, t, style=2 * style),
        unet(x, t, context=context),
        unet(x, t, context=2 * context),
        unet(x, t, style=style, context=context),
    ]
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other).abs().amax(dim=(1, 2, 3)).min() > 1e-4


def test_no_style_is_a_style_of_zeros() -> None:
    unet, x, t = network(SMALL), random(1, 4, 16, 16), torch.tensor([10])
    assert torch.equal(unet(x, t), unet(x, t, style=torch.zeros(1, SMALL.embedding)))


def test_items_of_a_batch_do_not_see_each_other() -> None:
    unet, x, t = network(SMALL), random(3, 4, 16, 16), torch.tensor([10, 200, 900])
    style = random(3, SMALL.embedding, seed=1)
    together = unet(x, t, style=style)
    for i in range(3):
        alone = unet(x[i : i + 1], t[i : i + 1], style=style[i : i + 1])
        assert torch.allclose(alone, together[i : i + 1], atol=1e-5)


def test_patches_are_exact_inverses_at_the_doors() -> None:
    """With patch p the network at size s sees what the plain one would see at size s/p."""
    x = random(1, 4, 16, 16)
    shuffled = nn.functional.pixel_unshuffle(x, 2)
    patched = network(replace(SMALL, patch=2))
    plain = UNet(replace(SMALL, image_size=8, in_channels=16, out_channels=12))
    plain.load_state_dict(patched.state_dict())
    t = torch.tensor([7])
    assert torch.equal(patched(x, t), nn.functional.pixel_shuffle(plain(shuffled, t), 2))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image_size": 15}, ("image_size 15", "multiple of 2")),
        ({"image_size": 16, "channel_mult": (1,) * 6}, ("image_size 16", "multiple of 32")),
        ({"image_size": 20, "patch": 4}, ("image_size 20", "multiple of 8")),
        ({"channels": 48}, ("channels 48", 32)),
        ({"head_channels": 48}, ("heads of 48",)),
        ({"attention_resolutions": (16,), "head_channels": 64}, ("32 channels", "heads of 64")),
    ],
)
def test_impossible_shapes_are_refused_at_birth(changes: dict[str, object], named: tuple[object, ...]) -> None:
    with fails(ValueError, *named):
        replace(SMALL, **changes)  # type: ignore[arg-type]


def test_wrong_channels_are_refused_in_words() -> None:
    with fails(ValueError, "4 channels", 3):
        UNet(SMALL)(random(1, 3, 16, 16), torch.tensor([0]))


def test_timesteps_are_told_apart() -> None:
    embedded = timestep_embedding(torch.arange(1000), 64)
    assert embedded.shape == (1000, 64) and embedded.dtype == torch.float32
    assert torch.equal(embedded[0], torch.cat([torch.ones(32), torch.zeros(32)]))
    assert torch.pdist(embedded).min() > 0.1


@pytest.mark.parametrize("stride", [(2, 2), (2, 1)])
def test_resampling_up_and_down_is_the_identity(stride: tuple[int, int]) -> None:
    x = random(1, 2, 4, 6)
    raised = Resample(stride, up=True)(x)
    assert raised.shape == (1, 2, 4 * stride[0], 6 * stride[1])
    assert torch.allclose(Resample(stride, up=False)(raised), x)


@pytest.mark.parametrize("resample", [None, Resample((2, 1), up=False), Resample((2, 2), up=True)])
def test_a_fresh_block_is_its_skip(resample: Resample | None) -> None:
    x, embedding = random(1, 32, 4, 4), random(1, 8, seed=1)
    expected = x if resample is None else resample(x)
    assert torch.equal(ResBlock(32, 32, 8, resample=resample)(x, embedding), expected)
    assert torch.equal(AttentionBlock(32, 16)(x), x)


def test_attention_weighs_context_beside_the_pixels() -> None:
    block = fill(AttentionBlock(32, 16, context_channels=8)).requires_grad_(False)
    x, context = random(2, 32, 4, 4), random(2, 6, 8, seed=1)
    with_context = block(x, context)
    assert (with_context - block(x)).abs().max() > 1e-3
    assert torch.allclose(block(x, context[:, [3, 1, 5, 0, 2, 4]]), with_context, atol=1e-5)  # tokens have no order
    swapped = block(x, context.flip(0))
    assert (swapped - with_context).abs().amax(dim=(1, 2, 3)).min() > 1e-4


def test_attention_does_not_care_where_a_pixel_stands() -> None:
    block = fill(AttentionBlock(32, 16)).requires_grad_(False)
    x = random(1, 32, 4, 4)
    assert torch.allclose(block(x.flip(2)), block(x).flip(2), atol=1e-5)


@seeded()
def gradients(unet: UNet) -> tuple[dict[str, Tensor], int]:
    """The gradient of each parameter, and how many bytes were kept for them."""
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    unet.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        output = unet(random(2, 4, 16, 16), torch.tensor([10, 500]), context=random(2, 5, 7, seed=2))
    (output**2).sum().backward()
    return {name: value.grad.clone() for name, value in unet.named_parameters() if value.grad is not None}, sum(
        kept.values()
    )


@pytest.mark.slow
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradient_checkpointing_keeps_less_and_changes_nothing(dropout: float) -> None:
    unet = network(replace(SMALL, res_blocks=2, context_channels=7, dropout=dropout)).train().requires_grad_(True)
    expected, plain = gradients(unet)
    keys = unet.state_dict().keys()
    unet.gradient_checkpointing = True
    found, kept = gradients(unet)
    assert expected.keys() == found.keys() == dict(unet.named_parameters()).keys() and keys == unet.state_dict().keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert kept < 0.5 * plain
    with torch.no_grad():
        assert unet(random(1, 4, 16, 16), torch.tensor([10])).shape == (1, 3, 16, 16)


def test_a_context_that_all_items_share_is_projected_once_to_the_same_numbers() -> None:
    block = AttentionBlock(32, 16, context_channels=6).eval()
    nn.init.normal_(block.proj_out.weight, std=0.1)
    seen: list[int] = []
    assert block.context_kv is not None
    block.context_kv.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    generator = torch.Generator().manual_seed(1)
    x, one = torch.randn(3, 32, 4, 4, generator=generator), torch.randn(1, 5, 6, generator=generator)
    shared = block(x, one.expand(3, -1, -1))
    assert torch.allclose(shared, block(x, one.repeat(3, 1, 1)), atol=1e-5) and seen == [1, 3]
