"""SyncDiff as a System: hide the lower half, show an identity frame and a little of the frame before, and listen."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dataset import MEL, ClipBatch, FilterBankWindows, Needs
from guided_diffusion.space import Space

from ..inpainting import SpaceInpainter
from .config import SyncDiffConfig
from .network import SyncDiffNetwork


@dataclass(frozen=True)
class Conditions:
    """What the denoiser may see of n frames, and nothing else.

    mask      [1, 1, s, s]  1 where the face is to be generated
    filled    [n, 3, s, s]  the face above, zeros below
    visible   [n, c, h, w]  that as an element of the space
    identity  [n, c, h, w]  another frame of the same face
    pose      [n, c, h, w]  the frame before, if it is shown in full
    style     [n, e]        what passes of it, if there is a bottleneck
    context   [n, k, c]     what is heard
    """

    mask: Tensor
    filled: Tensor
    visible: Tensor
    identity: Tensor
    pose: Tensor | None
    style: Tensor | None
    context: Tensor


class SyncDiff(SpaceInpainter[Conditions]):
    """A network with its process and what both are given; in latents if there is an autoencoder."""

    config: SyncDiffConfig
    network: SyncDiffNetwork

    def __init__(self, network: SyncDiffNetwork, autoencoder: Space | None = None) -> None:
        config = network.config
        super().__init__(config, network, autoencoder)
        before = 0 if config.pose.kind == "none" else config.pose.history
        condition = FilterBankWindows(config.fbank_frames) if config.audio_encoder == "avhubert" else MEL
        self.needs = Needs((condition,), before=before)

    @property
    def sound_encoder(self) -> nn.Module:
        return self.network.hearing.encoder

    def conditions(self, clips: ClipBatch, noise: Tensor) -> Conditions:
        """noise is not used: what is hidden is zero (our choice)."""
        return self.shown(clips, self.poses(clips))

    def poses(self, clips: ClipBatch) -> Tensor:
        """The frames before each one in their order, [b, t, h, 3, s, s]."""
        t, h = clips.faces.shape[1], self.config.pose.history
        frames = torch.cat([self.past(clips.before, clips.faces[:, :1]), clips.faces[:, :-1]], dim=1)
        return torch.stack([frames[:, k : k + h] for k in range(t)], dim=1)

    def past(self, before: Tensor | None, face: Tensor) -> Tensor:
        """Where there are none, the face with its lower half hidden stands for them; where there are too few, the first
        of them for those before it (our choice).
        """
        h = self.config.pose.history
        there = self.hidden(face) if before is None else before[:, -h:]
        return torch.cat([there[:, :1]] * (h - there.shape[1]) + [there], dim=1)

    def hidden(self, faces: Tensor) -> Tensor:
        """Faces [..., 3, s, s] with zeros below."""
        return faces * (1 - self.mask[0])

    def shown(self, clips: ClipBatch, poses: Tensor) -> Conditions:
        """The conditions with these pose frames [b, t, h, 3, s, s]."""
        pose, bottleneck = poses.flatten(0, 1), self.network.pose
        filled = self.hidden(clips.faces.flatten(0, 1))
        return Conditions(
            mask=self.mask,
            filled=filled,
            visible=self.encode(filled),
            identity=self.encode(clips.reference.flatten(0, 1)),
            pose=self.encode(pose[:, -1]) if self.config.pose.kind == "full" else None,
            style=None if bottleneck is None else bottleneck(pose),
            context=self.network.hearing(clips),
        )

    def denoise(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """The network's output [n, c or 2 c, h, w]; the visible rows are put back into x_t first."""
        c = conditions
        elements = [self.with_visible(x_t, c), c.visible, c.identity]
        if c.pose is not None:
            elements.append(c.pose)
        output: Tensor = self.network(torch.cat(elements, dim=1), t, c.style, c.context)
        return output
