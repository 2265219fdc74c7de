"""Style-Preserving Lip Sync as a System: hide the lower half, tell what the lips do, show other faces, fill it in."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dataset import ClipBatch, Needs

from ..inpainting import Inpainter
from .autoencoder import Latents
from .reader import ReadsMotion
from .renderer import Renderer, RendererConfig


@dataclass(frozen=True)
class Conditions:
    """What the denoiser may see of n frames, and nothing else.

    mask        [1, 1, s, s]  1 where the face is to be generated
    filled      [n, 3, s, s]  the face above, zeros below
    visible     [n, c, h, w]  its latents
    motion      [n, d]        what the lips do
    modulation  [n, m]        the same, as the network takes it
    context     [n, q, w]     tokens of the references
    """

    mask: Tensor
    filled: Tensor
    visible: Tensor
    motion: Tensor
    modulation: Tensor
    context: Tensor


class StyleSystem(Inpainter[Conditions]):
    """A renderer, the autoencoder whose latents it knows, and who reads lip motion; the latter two stay as they are.

    ValueError if the autoencoder's latents are of another shape.
    """

    config: RendererConfig
    network: Renderer
    autoencoder: Any  # Latents
    reader: Any       # ReadsMotion
    latent_mask: Tensor  # [1, 1, h, w]

    def __init__(self, renderer: Renderer, autoencoder: Latents, reader: ReadsMotion) -> None:
        config = renderer.config
        if tuple(autoencoder.shape) != tuple(config.latents):
            raise ValueError(f"the renderer knows latents {config.latents}, the autoencoder has {autoencoder.shape}")
        super().__init__(config, renderer)
        self.autoencoder, self.reader = autoencoder, reader
        for part in self.kept:
            part.requires_grad_(False).eval()
        self.needs = Needs(motion=config.numbers, references=config.references)
        rows = torch.arange(config.latents[1]) >= round(config.latents[1] * (1 - config.hide))
        mask = rows.float().view(1, 1, -1, 1).repeat(1, 1, 1, config.latents[2])
        self.register_buffer("latent_mask", mask, persistent=False)

    @property
    def size(self) -> int:
        return self.config.size

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, rows, columns = self.config.latents
        return channels, rows, columns

    @property
    def sample_mask(self) -> Tensor:
        return self.latent_mask

    @property
    def sound_encoder(self) -> nn.Module:
        raise TypeError("stage 2 hears nothing; what it renders is the motion that stage 1 makes of the sound")

    @property
    def kept(self) -> list[nn.Module]:
        """The parts that stay as they are."""
        return [part for part in (self.autoencoder, self.reader) if isinstance(part, nn.Module)]

    def train(self, mode: bool = True) -> "StyleSystem":
        super().train(mode)
        for part in self.kept:
            part.eval()
        return self

    @torch.no_grad()
    def sampled(self, faces: Tensor) -> Tensor:
        """The latents of faces."""
        return self.autoencoder.encode(faces)  # type: ignore[no-any-return]

    def conditions(self, clips: ClipBatch, noise: Tensor) -> Conditions:
        """noise is not used: what is hidden is zero.

        ValueError if no motion is told: reading it from the faces would tell what is to be generated (`with_motion`).
        """
        if clips.motion is None:
            raise ValueError("a style system is told what the lips do; the batch does not say")
        faces = clips.faces.flatten(0, 1)
        filled = faces * (1 - self.mask)
        motion = clips.motion.flatten(0, 1)
        references = clips.reference[:, :, None] if clips.references is None else clips.references
        return Conditions(
            mask=self.mask,
            filled=filled,
            visible=self.sampled(filled),
            motion=motion,
            modulation=self.network.mapping(motion),
            context=self._context(references.flatten(0, 1)),
        )

    def with_motion(self, clips: ClipBatch) -> ClipBatch:
        """The clips, told what the lips of their own faces do: for training, and to measure by."""
        b, t = clips.faces.shape[:2]
        motion = self.read(clips.faces.flatten(0, 1)).reshape(b, t, -1)
        return replace(clips, motion=motion)

    @torch.no_grad()
    def read(self, faces: Tensor) -> Tensor:
        """What the lips of faces [n, 3, s, s] do.  [n, d]"""
        return self.reader(faces)  # type: ignore[no-any-return]

    def denoise(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """What is predicted [n, c, h, w]; the visible rows are put back into x_t first."""
        c = conditions
        x_t = x_t * self.latent_mask + c.visible * (1 - self.latent_mask)
        return self.network(torch.cat([x_t, c.visible], dim=1), t, c.modulation, c.context)  # type: ignore[no-any-return]

    def finish(self, sample: Tensor, conditions: Conditions) -> Tensor:
        """Decoded, and the visible pixels put back."""
        c = conditions
        latents = sample * self.latent_mask + c.visible * (1 - self.latent_mask)
        return self.autoencoder.decode(latents).clamp(-1, 1) * c.mask + c.filled  # type: ignore[no-any-return]

    def _context(self, references: Tensor) -> Tensor:
        """The tokens of references [n, k, 3, s, s], [n, q, w].

        In generation frames that follow each other mostly see the same ones: these are encoded once, and always as one
        set, so that a frame's tokens do not depend on which frames it is made with.
        """
        if self.training:
            return self._tokens(references)
        tokens: list[Tensor] = []
        for i, one in enumerate(references):
            again = i > 0 and torch.equal(one, references[i - 1])
            tokens.append(tokens[-1] if again else self._tokens(one[None]))
        return torch.cat(tokens)

    def _tokens(self, references: Tensor) -> Tensor:
        latents = self.sampled(references.flatten(0, 1)).reshape(*references.shape[:2], *self.shape)
        return self.network.reference_encoder(latents)  # type: ignore[no-any-return]
