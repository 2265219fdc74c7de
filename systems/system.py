"""What every lip-sync system offers to the layers above; they speak only this."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from torch import Generator, Tensor

from dataset import AudioCondition, ClipBatch
from guided_diffusion.diffusion import Diffusion
from guided_diffusion.engine.device import autocast
from guided_diffusion.samplers import SampleConfig, sample

from .model import Model

K = TypeVar("K")


class System(Model, Generic[K]):
    """A lip-sync model: what it lets the denoiser see, how it denoises.

    shape is that of what is sampled: a crop [3, size, size], or latents.  A system that needs frames before each
    generates them in their order.
    K is its Conditions: b clips of t frames as b*t independent items.  To all others they are an object that it made
    and takes back: a System[object].
    """

    diffusion: Diffusion

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]: ...

    @property
    @abstractmethod
    def sampling(self) -> SampleConfig: ...

    @property
    @abstractmethod
    def qualities(self) -> dict[str, SampleConfig]:
        """The samplings besides the default one."""

    @abstractmethod
    def past(self, before: Tensor | None, face: Tensor) -> Tensor:
        """The needs.before frames before a face, [b, needs.before, 3, s, s].

        before [b, m, 3, s, s] are those that there are, if any; face [b, 1, 3, s, s].
        """

    @abstractmethod
    def conditions(self, clips: ClipBatch, noise: Tensor) -> K:
        """noise [b*t, c, h, w] fills what is hidden, in systems that fill it."""

    @abstractmethod
    def denoise(self, x_t: Tensor, t: Tensor, conditions: K) -> Tensor:
        """What the network predicts of x_t [b*t, c, h, w] at timesteps t [b*t]."""

    @abstractmethod
    def finish(self, sample: Tensor, conditions: K) -> Tensor:
        """A sample as a face [b*t, 3, s, s] in [-1, 1], what was visible put back."""


class AutoregressiveState:
    """The frames that were made last, of which the next one is shown at most `count`.

    before: [b, m, 3, s, s], those of b sequences in their order; None while there are none.
    """

    def __init__(self, count: int, before: Tensor | None = None) -> None:
        self._count, self.before = count, before

    def advance(self, made: Tensor) -> None:
        """Frames [b, n, 3, s, s] were made."""
        self.before = (made if self.before is None else torch.cat([self.before, made], dim=1))[:, -self._count :]


class FaceSampler(Generic[K]):
    """A system and how to sample it.

    Same seed, same faces: every frame of a clip starts from one noise image, which depends on the seed alone,
    and later steps draw theirs from (seed, step).  A system that needs frames before each is shown, after the first
    frame, those it made; clips that are sampled together do not see each other.
    An audio strength other than 1 goes on from what the network says in silence to what it says of the sound, so far
    (classifier-free guidance, Ho & Salimans 2022, eq. 6, with silence for the empty condition), and takes twice as
    long; a system that hears nothing itself takes it from what its lip motion is predicted by.
    precision is that of the network's matrix products; `store_weights` keeps the weights in it, which is quicker.
    """

    def __init__(
        self,
        system: System[K],
        sampling: SampleConfig | None = None,
        *,
        seed: int = 7,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.system = system
        self.precision = precision
        self.sampling = sampling or system.sampling
        system.diffusion.respaced(self.sampling.spacing)  # steps that cannot be are refused here, not after an hour
        self.seed = seed

    def noise(self, draw: int) -> Tensor:
        """Gaussian noise [1, c, h, w], float32 on the CPU; draw 0 starts the sampling."""
        generator = Generator().manual_seed((self.seed * 1_000_003 + draw) % 2**63)
        return torch.randn(1, *self.system.shape, generator=generator)

    @torch.inference_mode()
    def __call__(self, clips: ClipBatch) -> Tensor:
        """The faces of the clips, saying what is heard.  -> [b, t, 3, s, s] in [-1, 1], float32."""
        return self._in_order(clips) if self.system.needs.before else self._at_once(clips)

    def _in_order(self, clips: ClipBatch) -> Tensor:
        """Frame after frame, each after the one made before it."""
        state, faces = AutoregressiveState(self.system.needs.before, clips.before), []
        for k in range(clips.faces.shape[1]):
            faces.append(self._at_once(clips.frame(k, state.before)))
            state.advance(faces[-1])
        return torch.cat(faces, dim=1)

    def _at_once(self, clips: ClipBatch) -> Tensor:
        """All frames as independent items."""
        b, t = clips.faces.shape[:2]
        device = clips.faces.device

        def noise(draw: int) -> Tensor:
            return self.noise(draw).to(device)

        start = noise(0).expand(b * t, -1, -1, -1)
        heard, strength = self.system.needs.audio, self.sampling.audio_strength
        with autocast(device, self.precision):
            conditions = self.system.conditions(clips, start)
            unheard = self.system.conditions(_silenced(clips, heard), start) if heard and strength != 1 else None

        def denoise(x_t: Tensor, time: Tensor) -> Tensor:
            with autocast(device, self.precision):
                output = self.system.denoise(x_t, time, conditions)
                if unheard is None:
                    return output
                silent = self.system.denoise(x_t, time, unheard)
            mean = x_t.shape[1]  # channels beyond are of a learned variance, which stays
            guided = torch.lerp(silent[:, :mean].float(), output[:, :mean].float(), strength)
            return torch.cat([guided, output[:, mean:].float()], dim=1)

        sampled = sample(denoise, start, self.system.diffusion, self.sampling, noise)
        with autocast(device, self.precision):
            faces = self.system.finish(sampled, conditions).float()
        return faces.reshape(b, t, *faces.shape[1:])


def _silenced(clips: ClipBatch, heard: Sequence[AudioCondition]) -> ClipBatch:
    """The same sequences with nothing to be heard."""
    return clips.with_audio(**{each.name: torch.full_like(clips.audio[each.name], each.silence) for each in heard})
