"""How SyncDiff is trained: with the real frame before each as its pose, kept close to what generation will show it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from dataset import ClipBatch
from guided_diffusion.samplers import SampleConfig, sample

from ..inpainting import Inpainter
from ..objective import InpainterTraining, LossNetworks, ObjectiveConfig
from .system import Conditions, SyncDiff


@dataclass(frozen=True)
class SyncDiffObjective(ObjectiveConfig):
    """Diff2Lip's terms, those on the predicted face left out: the paper's known text has none (our choice).

    The pose frame is the real frame before (paper).  Generation will show the network its own frames, and no frame
    before the first one; how training gets it used to that is our choice:
    pose_noise    deviation of the noise added to a pose frame
    pose_hidden   share of the frames whose pose is that frame itself, its lower half hidden: what a first frame gets
    own_output    share of the sequences whose pose frames, after the first, are the model's own, each made after the
                  real one before it; data.frames must be 2 or more
    own_warmup    steps over which that share rises to own_output: at first the model makes no faces
    own_steps     steps of DDIM in which they are made
    """

    reconstruction: float = 0.0
    sync: float = 0.0
    perceptual: float = 0.0
    adversarial: float = 0.0
    pose_noise: float = 0.1
    pose_hidden: float = 0.1
    own_output: float = 0.0
    own_warmup: int = 10_000
    own_steps: str = "4"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pose_noise < 0 or not (0 <= self.pose_hidden <= 1 and 0 <= self.own_output <= 1):
            raise ValueError("pose_noise is 0 or more, pose_hidden and own_output are shares from 0 to 1")
        if self.own_warmup < 1:
            raise ValueError(f"own_warmup is 1 step or more, not {self.own_warmup}")


class SyncDiffTraining(InpainterTraining[Conditions]):
    """A SyncDiff as a Trainable."""

    model: SyncDiff
    config: SyncDiffObjective

    def __init__(self, model: SyncDiff, config: SyncDiffObjective, loss_networks: LossNetworks) -> None:
        super().__init__(model, config, loss_networks)
        model.diffusion.respaced(config.own_steps)  # steps that cannot be are refused here

    def _shown(
        self, clips: ClipBatch, filling: Tensor, generator: Generator
    ) -> Callable[[Inpainter[Conditions]], Conditions]:
        if not self.model.needs.before:
            return super()._shown(clips, filling, generator)
        poses = self._poses(clips, generator)

        def shown(model: Inpainter[Conditions]) -> Conditions:
            assert isinstance(model, SyncDiff)
            return model.shown(clips, poses)

        return shown

    def _poses(self, clips: ClipBatch, generator: Generator) -> Tensor:
        """The pose frames of training, [b, t, h, 3, s, s]; what is drawn depends on the shapes alone."""
        device, (b, t) = clips.faces.device, clips.faces.shape[:2]
        poses = self.model.poses(clips)
        own = torch.rand(b, generator=generator, device=generator.device)
        hidden = torch.rand(b, t, generator=generator, device=generator.device)
        start = torch.randn(1, *self.model.shape, generator=generator, device=generator.device)
        noise = torch.randn(poses.shape, generator=generator, device=generator.device).to(device)
        is_own = own < self._own_share()
        if t > 1 and is_own.any():
            poses = self._with_own(clips, poses, is_own.to(device), start.to(device))
        poses = poses + self.config.pose_noise * noise
        unseen = (hidden < self.config.pose_hidden).to(device)[:, :, None, None, None, None]
        return torch.where(unseen, self.model.hidden(clips.faces)[:, :, None], poses)

    def _own_share(self) -> float:
        return self.config.own_output * min((self.step + 1) / self.config.own_warmup, 1)

    @torch.no_grad()
    def _with_own(self, clips: ClipBatch, poses: Tensor, chosen: Tensor, start: Tensor) -> Tensor:
        """The poses with those of the chosen [b] sequences, but for the first, made by the model from noise `start`."""
        model, some = self.model, clips.rows(chosen)
        conditions = model.shown(some, poses[chosen])
        n, t = some.faces.shape[:2]
        samples = sample(
            lambda x_t, step: model.denoise(x_t, step, conditions),
            start.expand(n * t, -1, -1, -1),
            model.diffusion,
            SampleConfig("ddim", self.config.own_steps, clip=model.bounded),
            lambda step: start,
        )
        faces = model.finish(samples, conditions).float().reshape(some.faces.shape)
        poses = poses.clone()
        poses[chosen] = model.poses(replace(some, faces=faces.to(poses.dtype)))
        return poses
