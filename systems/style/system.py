"""Style-Preserving Lip Sync as a System: hide the lower half, tell what the lips do, show other faces, fill it in."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dataset import ClipBatch, Needs
from guided_diffusion.space import Space

from ..inpainting import SpaceInpainter
from .reader import ReadsMotion
from .renderer import Renderer, RendererConfig


@dataclass(frozen=True)
class Conditions:
    """What the denoiser may see of n frames, and nothing else.

    mask        [1, 1, s, s]  1 where the face is to be generated
    filled      [n, 3, s, s]  the face above, zeros below
    visible     [n, c, h, w]  that as an element of the space
    beside      [n, m c, h, w]  the references that are shown by channels too, if any
    motion      [n, d]        what the lips do
    modulation  [n, m]        the same, as the network takes it
    context     [n, q, w]     tokens of the references
    """

    mask: Tensor
    filled: Tensor
    visible: Tensor
    beside: Tensor | None
    motion: Tensor
    modulation: Tensor
    context: Tensor


class StyleSystem(SpaceInpainter[Conditions]):
    """A renderer, the autoencoder whose latents it knows (None: pixels), and who reads lip motion.

    The latter two stay as they are.  ValueError if the autoencoder's latents are of another shape.
    """

    config: RendererConfig
    network: Renderer
    reader: ReadsMotion

    def __init__(self, renderer: Renderer, autoencoder: Space | None, reader: ReadsMotion) -> None:
        config = renderer.config
        super().__init__(config, renderer, autoencoder)
        self.reader = reader
        self._keep(reader)
        self.needs = Needs(
            audio=(), motion=config.motion_dim, references=config.references, ordered=config.ordered
        )

    @property
    def kept(self) -> tuple[object, ...]:
        return self.space, self.reader

    @property
    def sound_encoder(self) -> nn.Module:
        raise TypeError("stage 2 hears nothing; what it renders is the motion that stage 1 makes of the sound")

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
        references = references.flatten(0, 1)
        return Conditions(
            mask=self.mask,
            filled=filled,
            visible=self.encode(filled),
            beside=self._beside(references) if self.config.concat_references else None,
            motion=motion,
            modulation=self.network.mapping(motion),
            context=self._context(references),
        )

    def with_motion(self, clips: ClipBatch) -> ClipBatch:
        """The clips, told what the lips of their own faces do: for training, and to measure by."""
        b, t = clips.faces.shape[:2]
        motion = self.read(clips.faces.flatten(0, 1)).reshape(b, t, -1)
        return replace(clips, motion=motion)

    @torch.no_grad()
    def read(self, faces: Tensor) -> Tensor:
        """What the lips of faces [n, 3, s, s] do.  [n, d]"""
        return self.reader(faces)

    def denoise(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """What is predicted [n, c, h, w]; the visible rows are put back into x_t first."""
        c = conditions
        elements = [self.with_visible(x_t, c), c.visible]
        if c.beside is not None:
            elements.append(c.beside)
        output: Tensor = self.network(torch.cat(elements, dim=1), t, c.modulation, c.context)
        return output

    def _beside(self, references: Tensor) -> Tensor:
        """The first of references [n, k, 3, s, s] as an element, and the last behind it if two are shown."""
        shown = references[:, [0, -1][: self.config.concat_references]]
        return self.encode(shown.flatten(0, 1)).reshape(len(shown), -1, *self.shape[1:])

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
        alike = all(one is tokens[0] for one in tokens)  # then attention, too, looks at them but once
        return tokens[0].expand(len(tokens), -1, -1) if alike else torch.cat(tokens)

    def _tokens(self, references: Tensor) -> Tensor:
        elements = self.encode(references.flatten(0, 1)).reshape(*references.shape[:2], *self.shape)
        output: Tensor = self.network.reference_encoder(elements)
        return output
