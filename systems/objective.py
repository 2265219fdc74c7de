"""What training a system that fills faces in minimises: the diffusion's own loss, and four terms on the face.

It is Diff2Lip's objective (Mukhopadhyay et al. 2024, equation 9); other systems use those of its terms that they want.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Generic, Literal, TypeVar

import torch
from torch import Generator, Tensor, nn

from core.errors import BadValue
from dataset import ClipBatch
from guided_diffusion.distillation import check, own_steps, teachers_sample
from guided_diffusion.engine.train_step import Tuning
from guided_diffusion.samplers import SAMPLERS, SampleConfig

from .discriminator import Discriminator, DiscriminatorConfig
from .inpainting import Inpainter, Masked
from .model import Model
from .terms import Distance, SyncProbability, adversarial_losses, discriminator_loss, perceptual_loss, sync_loss

K = TypeVar("K", bound=Masked)  # the conditions of a system

# Where pixels change most within the training clips (docs/architecture.md), as shares of the crop.
MOUTH_ROW, MOUTH_HEIGHT, MOUTH_WIDTH = 0.78, 0.13, 0.2


@dataclass(frozen=True)
class ObjectiveConfig:
    """The weight of each term, 0 leaves it out; the defaults are Diff2Lip's, where its paper gives any.

    diffusion       error of what the network predicts, over the hidden rows
    variational     the term that trains the learned variance, over the hidden rows (its share is our choice)
    reconstruction  L2 between the face and its one-step prediction x0, over the hidden rows
    sync            -log of a sync expert's agreement with the predicted sequence
    perceptual      LPIPS between the face and the predicted one
    adversarial     the sequence GAN's hinge loss
    matching        how unlike the discriminator's layers see the face and the predicted one (our choice)
    adversarial_from  the step from which the two count; the discriminator learns from the first on
    x0_scale        signal: the four terms on x0 count by alpha_bar, because x0 made from eps is off by up to 150 times
                    the error of eps where there is nearly no signal; plain: alike at every timestep, for networks that
                    predict x0 or v.  Which timesteps the authors used is not known.
    shared_step     the frames of a sequence get one timestep, so that the terms on sequences see 5 alike
    mouth_weight    how much more the region of the mouth counts in diffusion and reconstruction
    distill         distance of what the model makes in few steps from what its teacher (--distill) makes of the same
                    noise, over the hidden rows; the terms on the noised face are then left out
    distill_steps   of DDIM, which the model is to need
    distill_from    the teacher's sampler and steps, such as dpm++:4; empty: those of its quality best
    train_audio_encoder  False keeps it as it is: early in training the denoiser wants a constant of it, and makes it so
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"mouth": "mouth_weight", "train_sound_encoder": "train_audio_encoder"}

    diffusion: float = 1.0
    variational: float = 1.0
    reconstruction: float = 1.0
    sync: float = 0.1
    perceptual: float = 0.25
    adversarial: float = 0.5
    matching: float = 0.0
    adversarial_from: int = 0
    x0_scale: Literal["signal", "plain"] = "signal"
    shared_step: bool = True
    mouth_weight: float = 1.0
    distill: float = 0.0
    distill_steps: str = "1"
    distill_from: str = ""
    train_audio_encoder: bool = True
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)

    def __post_init__(self) -> None:
        weights = (self.diffusion, self.variational, self.reconstruction, self.sync, self.perceptual, self.adversarial)
        if min(*weights, self.matching, self.adversarial_from, self.distill) < 0:
            raise ValueError("the weight of a term is 0 or more")
        if self.matching and not self.adversarial:
            raise ValueError("matching is by the discriminator's layers: give adversarial a weight, too")
        if not any((*weights, self.distill)):
            raise ValueError("with all weights 0 there is nothing to learn")


@dataclass(frozen=True)
class LossNetworks:
    """What measures a predicted face for the sync and the perceptual term: fixed, and no part of what is trained."""

    sync_probability: SyncProbability | None = None
    distance: Distance | None = None
    teacher: Model | None = None  # of the student's kind, whose samples are to be made in fewer steps


class InpainterTraining(nn.Module, Generic[K]):
    """An inpainter as a Trainable, with the discriminator it plays against if there is one.

    ValueError if a term with a weight has nothing to measure it with.
    """

    step = 0
    loss_mask: Tensor  # [1, 1, h, w] what each place of a sample counts in the losses, 0 where it is visible

    def __init__(self, model: Inpainter[K], config: ObjectiveConfig, loss_networks: LossNetworks) -> None:
        super().__init__()
        if (config.sync and loss_networks.sync_probability is None) or (
            config.perceptual and loss_networks.distance is None
        ):
            raise ValueError("the sync term needs an expert, the perceptual term LPIPS")
        if config.distill and loss_networks.teacher is None:
            raise ValueError("the distill term needs a teacher")
        self.model, self.config, self.loss_networks = model, config, loss_networks
        if config.distill:
            check(model.diffusion, config.distill_steps)
        self.discriminator = Discriminator(config.discriminator) if config.adversarial else None
        loss_mask = model.sample_mask * mouth_weights(model.shape[-1], config.mouth_weight)
        self.register_buffer("loss_mask", loss_mask, persistent=False)
        if not config.train_audio_encoder:
            model.sound_encoder.requires_grad_(False)

    def objectives(self) -> dict[str, list[nn.Parameter]]:
        groups = {"network": [p for p in self.model.parameters() if p.requires_grad]}
        if self.discriminator is not None:
            groups["discriminator"] = list(self.discriminator.parameters())
        return groups

    def tuning(self) -> dict[str, Tuning]:
        config = self.config.discriminator
        return {"discriminator": Tuning(config.learning_rate, config.betas)} if self.discriminator is not None else {}

    def begin(self, step: int) -> None:
        self.step = step

    def losses(self, clips: ClipBatch, generator: Generator) -> Mapping[str, Mapping[str, Tensor]]:
        """The weighted terms, each a scalar.  The noise of the condition is independent of x_t's, but in few steps."""
        if self.config.distill:
            predicted, conditions, network = self._distilled(clips, generator)
            sample_weights = torch.ones(len(predicted), device=predicted.device)
        else:
            predicted, conditions, network, sample_weights = self._noised(clips, generator)
        if not self._judges_faces:
            return {"network": network}
        faces = self._finished(predicted, conditions).reshape(clips.faces.shape)
        sample_weights = sample_weights.reshape(clips.faces.shape[:2])
        network |= self._judged_terms(faces, clips, sample_weights)
        if self.discriminator is None:
            return {"network": network}
        judging = discriminator_loss(self.discriminator, faces, clips.faces, sample_weights)
        return {"network": network, "discriminator": {"hinge": judging}}

    def _noised(self, clips: ClipBatch, generator: Generator) -> tuple[Tensor, K, dict[str, Tensor], Tensor]:
        """x0 as it is predicted from noised faces, its conditions, the terms of that, and what each item counts."""
        diffusion, device = self.model.diffusion, clips.faces.device
        x0 = self.model.encode(clips.faces.flatten(0, 1))               # [b*t, c, h, w]
        filling = torch.randn(x0.shape, generator=generator, device=generator.device).to(device)
        noise = torch.randn(x0.shape, generator=generator, device=generator.device).to(device)
        step = self._draw_steps(clips, generator).to(device)            # [b*t]
        conditions = self._shown(clips, filling, generator)(self.model)
        x_t = diffusion.q_sample(x0, step, noise)
        output = self.model.denoise(x_t, diffusion.timesteps(step), conditions)
        predicted = diffusion.interpret(output, x_t, step, clip=False).x0

        sample_weights = diffusion.signal(step, x0).flatten()           # [b*t]
        if self.config.x0_scale == "plain":
            sample_weights = torch.ones_like(sample_weights)
        network = self._denoising_terms(x0, x_t, noise, step, output)
        if self.config.reconstruction:
            error = self._hidden_mean((predicted - x0) ** 2)
            network["reconstruction"] = self.config.reconstruction * (sample_weights * error).mean()
        return predicted, conditions, network, sample_weights

    def _distilled(self, clips: ClipBatch, generator: Generator) -> tuple[Tensor, K, dict[str, Tensor]]:
        """x0 as the model makes it in its few steps, its conditions, and how far these are from the teacher's end."""
        model, teacher, device = self.model, self.loss_networks.teacher, clips.faces.device
        assert isinstance(teacher, type(model))
        n = clips.faces.shape[0] * clips.faces.shape[1]
        noise = torch.randn(n, *model.shape, generator=generator, device=generator.device).to(device)
        shown = self._shown(clips, noise, generator)                    # as in generation, filled with the same noise
        conditions = shown(model)
        with torch.no_grad():
            teachers = shown(teacher)
        wanted = teachers_sample(
            lambda x, t: teacher.denoise(x, t, teachers), noise, teacher.diffusion, self._teachers_sampling(teacher)
        )
        steps = own_steps(
            lambda x, t: model.denoise(x, t, conditions), noise, model.diffusion, self.config.distill_steps,
            clip=model.bounded,
        )  # fmt: skip
        errors = torch.stack([self._hidden_mean((one - wanted) ** 2).mean() for one in steps])
        network = {"distill": self.config.distill * errors.mean()}
        if self.config.reconstruction:
            real = model.encode(clips.faces.flatten(0, 1))
            network["reconstruction"] = self.config.reconstruction * self._hidden_mean((steps[-1] - real) ** 2).mean()
        return steps[-1], conditions, network

    def _teachers_sampling(self, teacher: Inpainter[K]) -> SampleConfig:
        best = teacher.qualities["best"]
        if not self.config.distill_from:
            return best
        sampler, _, spacing = self.config.distill_from.partition(":")
        if sampler not in SAMPLERS or sampler == "ddpm":
            raise BadValue(
                f"--set loss.distill_from={self.config.distill_from}: SAMPLER:STEPS, such as dpm++:4 or ddim:16"
            )
        return replace(best, sampler=sampler, spacing=spacing)  # type: ignore[arg-type]

    def _shown(self, clips: ClipBatch, filling: Tensor, generator: Generator) -> Callable[[Inpainter[K]], K]:
        """How a model of this kind is shown the clips in training; a system that does so otherwise says so here."""
        return lambda model: model.conditions(clips, filling)

    @property
    def _judges_faces(self) -> bool:
        """Whether there are terms on the finished face."""
        return any((self.config.sync, self.config.perceptual, self.config.adversarial))

    def _finished(self, predicted: Tensor, conditions: K) -> Tensor:
        """Predicted samples as faces [b*t, 3, s, s]."""
        return self.model.finish(predicted.clamp(-1, 1) if self.model.bounded else predicted, conditions)

    def _draw_steps(self, clips: ClipBatch, generator: Generator) -> Tensor:
        """The timestep of each frame, int64 [b*t], on the generator's device."""
        b, t = clips.faces.shape[:2]
        if self.config.shared_step:
            return self.model.diffusion.draw_steps(b, generator).repeat_interleave(t)
        return self.model.diffusion.draw_steps(b * t, generator)

    def _denoising_terms(
        self, x0: Tensor, x_t: Tensor, noise: Tensor, step: Tensor, output: Tensor
    ) -> dict[str, Tensor]:
        diffusion, terms = self.model.diffusion, {}
        mean, variance = diffusion.split(output)
        if self.config.diffusion:
            error = self._hidden_mean((mean - diffusion.target(x0, step, noise)) ** 2)
            terms["diffusion"] = self.config.diffusion * error.mean()
        if self.config.variational and variance is not None:
            # The mean is detached: this term trains the variance alone (iDDPM, section 4).
            frozen = torch.cat([mean.detach(), variance], dim=1)
            prediction = diffusion.interpret(frozen, x_t, step, clip=False)
            bits = diffusion.variational_term(x0, x_t, prediction, step, self.model.sample_mask)
            terms["variational"] = self.config.variational * bits.mean()
        return terms

    def _judged_terms(self, faces: Tensor, clips: ClipBatch, sample_weights: Tensor) -> dict[str, Tensor]:
        c, loss_networks, terms = self.config, self.loss_networks, {}
        if c.sync and loss_networks.sync_probability is not None:
            terms["sync"] = c.sync * sync_loss(loss_networks.sync_probability, faces, clips.speech, sample_weights)
        if c.perceptual and loss_networks.distance is not None:
            apart = perceptual_loss(loss_networks.distance, faces, clips.faces, sample_weights)
            terms["perceptual"] = c.perceptual * apart
        if self.discriminator is not None:
            late = float(self.step >= c.adversarial_from)
            seen_through, unlike = adversarial_losses(self.discriminator, faces, clips.faces, sample_weights)
            terms["adversarial"] = late * c.adversarial * seen_through
            if c.matching:
                terms["matching"] = late * c.matching * unlike
        return terms

    def _hidden_mean(self, error: Tensor) -> Tensor:
        """Means over the hidden rows of each item, the mouth counting more.  [n, 3, s, s] -> [n]"""
        return (error * self.loss_mask).mean(dim=(1, 2, 3)) / self.loss_mask.mean()


def mouth_weights(size: int, weight: float) -> Tensor:
    """[1, 1, s, s]: 1, rising smoothly to `weight` where a face framed like VoxCeleb2's has its mouth."""
    line = (torch.arange(size) + 0.5) / size
    rows, columns = (line - MOUTH_ROW) / MOUTH_HEIGHT, (line - 0.5) / MOUTH_WIDTH
    distance = rows[:, None] ** 2 + columns[None, :] ** 2
    return (1 + (weight - 1) * torch.exp(-0.5 * distance**2)).view(1, 1, size, size)
