"""The fourth door: a vector scales the weights of convolutions; off, nothing is there."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from guided_diffusion.blocks import ModulatedConv2d
from guided_diffusion.unet import UNet, UNetConfig
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded

CONFIG = UNetConfig(
    image_size=8, in_channels=4, out_channels=4, channels=32, channel_mult=(1, 2), res_blocks=1,
    attention_resolutions=(), head_channels=32, scale_shift_norm=True, modulation=8,
)  # fmt: skip


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


@seeded()
def test_it_is_stylegan2s_modulated_and_demodulated_convolution() -> None:
    """Weights scaled for each item as eq. 1 of Karras et al. 2020 writes it, then brought to their old length."""
    conv = ModulatedConv2d(6, 5, 8)
    x, vectors = drawn(3, 6, 7, 7), drawn(3, 8, seed=1)
    scales = conv.scales(vectors)
    expected = []
    for item, scale in zip(x, scales, strict=True):
        weight = conv.weight * scale[None, :, None, None]
        before, after = (w.square().sum(dim=(1, 2, 3), keepdim=True).add(1e-8).sqrt() for w in (conv.weight, weight))
        weight = weight * before / after
        expected.append(F.conv2d(item[None], weight, conv.bias, padding=1))
    assert torch.allclose(conv(x, vectors), torch.cat(expected), atol=1e-5)


def test_unscaled_it_is_the_convolution_that_its_weights_are() -> None:
    conv, x = ModulatedConv2d(6, 5, 8), drawn(2, 6, 7, 7)
    plain = F.conv2d(x, conv.weight, conv.bias, padding=1)
    assert torch.allclose(conv(x, torch.zeros(2, 8)), plain, atol=1e-5)


def test_how_loud_the_vector_is_does_not_matter() -> None:
    conv = ModulatedConv2d(6, 5, 8)
    torch.nn.init.zeros_(conv.scales.bias)
    x, vectors = drawn(2, 6, 7, 7), drawn(2, 8, seed=1)
    assert torch.allclose(conv(x, vectors), conv(x, 3 * vectors), atol=1e-4)


@seeded()
def test_a_modulated_network_follows_its_vector_and_learns_from_it() -> None:
    network = UNet(CONFIG)
    torch.nn.init.normal_(network.out[2].weight, std=0.1)
    for block in network.modules():
        if hasattr(block, "out_layers"):
            torch.nn.init.normal_(block.out_layers[3].weight, std=0.1)
    x, t = drawn(2, 4, 8, 8), torch.tensor([3, 500])
    one = drawn(2, 8, seed=2).requires_grad_()
    plain = network(x, t, modulation=one)
    assert not torch.allclose(plain, network(x, t, modulation=-one), atol=1e-4)
    plain.square().mean().backward()
    assert one.grad is not None and (one.grad.abs().sum(dim=1) > 0).all()
    network.gradient_checkpointing = True
    assert torch.allclose(network(x, t, modulation=one), plain, atol=1e-5)


def test_a_network_is_told_exactly_what_it_takes() -> None:
    x, t = drawn(1, 4, 8, 8), torch.tensor([3])
    with fails(ValueError, "8 numbers"):
        UNet(CONFIG)(x, t)
    plain = UNet(replace(CONFIG, modulation=0))
    with fails(ValueError, "0 numbers"):
        plain(x, t, modulation=drawn(1, 8))
    assert not any("scales" in name for name in plain.state_dict())
