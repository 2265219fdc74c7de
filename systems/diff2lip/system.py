"""Diff2Lip as a System: hide the lower half of the face, show another frame, listen, and fill the half in."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from dataset import ClipBatch
from guided_diffusion.diffusion import Diffusion, DiffusionConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.trainer import Objective
from guided_diffusion.unet import UNetConfig

from ..sound import SoundConfig
from .network import Diff2LipNetwork


@dataclass(frozen=True)
class Diff2LipConfig:
    """The defaults are the paper's.

    sampling, fast, best   how generate.py samples: by default, and with the other two qualities
    hide                   share of the rows hidden, from below
    fill                   what hides them in the condition: noise (the paper) or zeros
    diffusion_weight       the noise-prediction loss over the hidden rows
    variational_weight     the variational term for the learned variance, over the hidden rows
    reconstruction_weight  L2 between x0 and its one-step prediction, over the hidden rows (the paper's eq. 9)
    reconstruction_scale   signal: that error times alpha_bar, because x0 made from eps is off by up to 150 times the
                           error of eps where there is nearly no signal; plain: as it is, for x0 and v prediction.
                           Which the authors used is not known.
    mouth_weight           how much more the region of the mouth counts in the two losses above; 1 as in the paper
    train_sound_encoder    False keeps it as a sync expert left it: early in training the denoiser wants a constant of
                           it, and makes it one
    """

    unet: UNetConfig = field(default_factory=UNetConfig)
    sound: SoundConfig = field(default_factory=SoundConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    sampling: SampleConfig = field(default_factory=SampleConfig)
    fast: SampleConfig = field(default_factory=lambda: SampleConfig("dpm++", "8"))
    best: SampleConfig = field(default_factory=lambda: SampleConfig("ddim", "ddim100"))
    hide: float = 0.5
    fill: Literal["noise", "zeros"] = "noise"
    diffusion_weight: float = 1.0
    variational_weight: float = 1.0
    reconstruction_weight: float = 1.0
    reconstruction_scale: Literal["signal", "plain"] = "signal"
    mouth_weight: float = 1.0
    train_sound_encoder: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.hide < 1:
            raise ValueError(f"hide must lie in (0, 1), not {self.hide}")
        outputs = 6 if self.diffusion.learn_variance else 3
        if (self.unet.in_channels, self.unet.out_channels) != (9, outputs):
            raise ValueError(f"Diff2Lip's network has 9 channels in and here {outputs} out")


@dataclass(frozen=True)
class Conditions:
    """What the denoiser may see of n frames, and nothing else.

    mask       [1, 1, s, s]  1 where the face is to be generated
    filled     [n, 3, s, s]  the face above, noise or zeros below
    reference  [n, 3, s, s]
    style      [n, e]        what is heard
    """

    mask: Tensor
    filled: Tensor
    reference: Tensor
    style: Tensor


class Diff2Lip(nn.Module):
    """The network, its process, and what both are given."""

    mask: Tensor      # [1, 1, s, s] 1 on the hidden rows
    emphasis: Tensor  # [1, 1, s, s] what each pixel counts in the losses, 0 where it is visible

    def __init__(self, config: Diff2LipConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Diff2LipNetwork(config.unet, config.sound)
        self.diffusion = Diffusion(config.diffusion)
        rows = torch.arange(self.size) >= int(self.size * (1 - config.hide))
        self.register_buffer("mask", rows.float().view(1, 1, -1, 1).expand(1, 1, -1, self.size), persistent=False)
        self.register_buffer("emphasis", self.mask * mouth_emphasis(self.size, config.mouth_weight), persistent=False)

    @property
    def size(self) -> int:
        return self.config.unet.image_size

    @property
    def sampling(self) -> SampleConfig:
        return self.config.sampling

    @property
    def qualities(self) -> dict[str, SampleConfig]:
        """The samplings besides the default one."""
        return {"fast": self.config.fast, "best": self.config.best}

    def conditions(self, clips: ClipBatch, noise: Tensor) -> Conditions:
        """Listens to the mel windows and hides the lower half of the faces.  noise [b*t, 3, s, s]."""
        faces = clips.faces.flatten(0, 1)
        hidden = noise if self.config.fill == "noise" else torch.zeros_like(noise)
        return Conditions(
            mask=self.mask,
            filled=faces * (1 - self.mask) + hidden * self.mask,
            reference=clips.reference.flatten(0, 1),
            style=self.network.listen(clips.mel.flatten(0, 1)),
        )

    def denoise(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """The network's output [n, 3 or 6, s, s]; the visible half is put back into x_t first."""
        c = conditions
        visible = x_t * c.mask + c.filled * (1 - c.mask)
        return self.network(torch.cat([visible, c.filled, c.reference], dim=1), t, style=c.style)  # type: ignore[no-any-return]

    def finish(self, sample: Tensor, conditions: Conditions) -> Tensor:
        """sample * mask + face * (1 - mask)."""
        return sample * conditions.mask + conditions.filled * (1 - conditions.mask)

    def losses(self, clips: ClipBatch, generator: Generator) -> dict[str, Tensor]:
        """The weighted terms of the objective, each a scalar.  The noise of the condition is independent of x_t's."""
        x0 = clips.faces.flatten(0, 1)
        filling = torch.randn(x0.shape, generator=generator).to(x0.device)
        noise = torch.randn(x0.shape, generator=generator).to(x0.device)
        step = self.diffusion.draw_steps(len(x0), generator).to(x0.device)
        conditions = self.conditions(clips, filling)
        x_t = self.diffusion.q_sample(x0, step, noise)
        output = self.denoise(x_t, self.diffusion.timesteps(step), conditions)
        return self._terms(x0, x_t, noise, step, output)

    def _terms(self, x0: Tensor, x_t: Tensor, noise: Tensor, step: Tensor, output: Tensor) -> dict[str, Tensor]:
        c = self.config
        terms = {}
        mean, variance = self.diffusion.split(output)
        if c.diffusion_weight:
            error = (mean - self.diffusion.target(x0, step, noise)) ** 2
            terms["diffusion"] = c.diffusion_weight * self._hidden_mean(error)
        if c.reconstruction_weight:
            error = (self.diffusion.interpret(output, x_t, step, clip=False).x0 - x0) ** 2
            if c.reconstruction_scale == "signal":
                error = error * self.diffusion.signal(step, error)
            terms["reconstruction"] = c.reconstruction_weight * self._hidden_mean(error)
        if c.variational_weight and variance is not None:
            # The mean is detached: this term trains the variance alone (iDDPM, section 4).
            frozen = torch.cat([mean.detach(), variance], dim=1)
            prediction = self.diffusion.interpret(frozen, x_t, step, clip=False)
            bits = self.diffusion.variational_term(x0, x_t, prediction, step, self.mask)
            terms["variational"] = c.variational_weight * bits.mean()
        return terms

    def _hidden_mean(self, error: Tensor) -> Tensor:
        """The mean of [n, 3, s, s] over the hidden rows, the mouth counting mouth_weight times."""
        return (error * self.emphasis).mean() / self.emphasis.mean()

    def objectives(self) -> dict[str, Objective[ClipBatch]]:
        fixed = () if self.config.train_sound_encoder else set(self.network.audio_encoder.parameters())
        return {"network": Objective([p for p in self.parameters() if p not in fixed], self.losses)}


def mouth_emphasis(size: int, weight: float) -> Tensor:
    """[1, 1, s, s]: 1, rising smoothly to `weight` where a face framed like VoxCeleb2's has its mouth."""
    line = (torch.arange(size) + 0.5) / size
    rows, columns = (line - MOUTH_ROW) / MOUTH_HEIGHT, (line - 0.5) / MOUTH_WIDTH
    distance = rows[:, None] ** 2 + columns[None, :] ** 2
    return (1 + (weight - 1) * torch.exp(-0.5 * distance**2)).view(1, 1, size, size)


# Where pixels change most within the training clips (docs/architecture.md), as shares of the crop.
MOUTH_ROW, MOUTH_HEIGHT, MOUTH_WIDTH = 0.78, 0.13, 0.2
