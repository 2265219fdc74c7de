"""How stage 2 is trained: to restore real faces, told what their own lips do."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Generator, Tensor

from dataset import ClipBatch

from ..objective import InpainterTraining, LossNetworks, ObjectiveConfig, mouth_weights
from .system import Conditions, StyleSystem


@dataclass(frozen=True)
class RendererObjective(ObjectiveConfig):
    """The diffusion's own term, on latents; Diff2Lip's terms on the finished face are there, off (our choice).

    motion      the mean absolute difference between the lip motion that is read from the finished face and the one that
                it was told, in deviations of the training clips
    restored    the mean absolute difference between the finished face and the real one, the mouth counting more
    Terms on the finished face go through the decoder, which makes a step dearer.
    """

    reconstruction: float = 0.0
    sync: float = 0.0
    perceptual: float = 0.0
    adversarial: float = 0.0
    motion: float = 0.0
    restored: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.motion, self.restored) < 0:
            raise ValueError("the weight of a term is 0 or more")


class RendererTraining(InpainterTraining[Conditions]):
    """A style system as a Trainable: its renderer learns, the autoencoder and the reader stay as they are."""

    model: StyleSystem
    config: RendererObjective
    pixel_weights: Tensor  # [1, 1, s, s] what each pixel of a finished face counts

    def __init__(self, model: StyleSystem, config: RendererObjective, loss_networks: LossNetworks) -> None:
        super().__init__(model, config, loss_networks)
        weights = model.mask * mouth_weights(model.size, config.mouth_weight)
        self.register_buffer("pixel_weights", weights, persistent=False)

    def losses(self, clips: ClipBatch, generator: Generator) -> Mapping[str, Mapping[str, Tensor]]:
        return super().losses(self.model.with_motion(clips), generator)

    @property
    def _judges_faces(self) -> bool:
        return super()._judges_faces or any((self.config.motion, self.config.restored))

    def _judged_terms(self, faces: Tensor, clips: ClipBatch, sample_weights: Tensor) -> dict[str, Tensor]:
        terms = super()._judged_terms(faces, clips, sample_weights)
        if self.config.motion and clips.motion is not None:
            read = self.model.reader(faces.flatten(0, 1)).reshape(clips.motion.shape)
            apart = (read - clips.motion).abs().mean(dim=2)                 # [b, t]
            terms["motion"] = self.config.motion * (sample_weights * apart).mean()
        if self.config.restored:
            apart = ((faces - clips.faces).abs() * self.pixel_weights).mean(dim=(2, 3, 4)) / self.pixel_weights.mean()
            terms["restored"] = self.config.restored * (sample_weights * apart).mean()
        return terms
