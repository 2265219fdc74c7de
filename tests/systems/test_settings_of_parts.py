"""What a network is trained with decides its latents before a user's settings are judged."""

import pytest
import torch

from core.errors import BadInput
from systems import registry
from systems.components import Components
from systems.registry import find_preset
from tests.helpers.tiny_style import parts

WIDE = ["model.unet.patch=2", "model.unet.channels=32", "model.unet.channel_mult=[2,3,4,6]"]


def test_settings_that_fit_pixels_are_not_refused_for_latents_that_it_will_not_have() -> None:
    with pytest.raises(BadInput):  # so it was
        find_preset("style-small").changed(WIDE)
    chosen = find_preset("style-small").changed([*Components().settings, *WIDE])
    assert chosen.model.latents == () and chosen.model.unet.patch == 2
    with torch.device("meta"):
        registry.build("style", chosen.model)


def test_with_an_autoencoder_it_has_that_ones() -> None:
    found = Components(parts().autoencoder)
    small = ["model.unet.image_size=32", "model.unet.channel_mult=[1,2]", "model.unet.attention_resolutions=[4]"]
    assert find_preset("style-small").changed([*found.settings, *small]).model.latents == (4, 8, 8)
