"""The sequence discriminator: a PatchGAN (Isola et al. 2017) that sees 5 frames at once, stacked on the channels.

So it judges movement as well as looks (Diff2Lip, Mukhopadhyay et al. 2024, section 3.3).
Depth, widths and normalisation are our choice.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from guided_diffusion.blocks import normalization


@dataclass(frozen=True)
class DiscriminatorConfig:
    """frames: stacked; widths: of the layers, each halving the picture but the last."""

    frames: int = 5
    widths: tuple[int, ...] = (64, 128, 256, 512)


class Discriminator(nn.Module):
    """faces [b, t, 3, s, s] in [-1, 1] -> a logit for each patch of 70 x 70 pixels [b, 1, h, w]; above 0 means real."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        width = config.widths[0]
        layers: list[nn.Module] = [nn.Conv2d(config.frames * 3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for i, out in enumerate(config.widths[1:], start=2):
            stride = 1 if i == len(config.widths) else 2
            layers += [nn.Conv2d(width, out, 4, stride=stride, padding=1), normalization(out), nn.LeakyReLU(0.2)]
            width = out
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, padding=1))

    def forward(self, faces: Tensor) -> Tensor:
        logits: Tensor = self.layers(faces.flatten(1, 2))
        return logits.float()
