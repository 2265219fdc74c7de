"""What the lips of held-out clips do, for systems that are told: stage 1 predicts it from a sound, as in generation.

The manner is that of the next other clip of the same speaker in the same split, and nobody's where there is none: the
clip's own, which generate.py takes by default, tells the answer here.  The mean around which the lips move is that of
the clip's own faces, as in generation: the shape of this mouth, whatever it says.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audio import Mel
from dataset import Footage, to_network
from lipsync.manner import FPS, stretches
from systems import registry
from systems.style.motion import LEAST, StyleReference


class Lips:
    """Of the clips of one split, by stage 1 on a device.  No clip is read twice."""

    def __init__(self, model: registry.Stage1, clips: Sequence[Footage], device: torch.device) -> None:
        self.model, self.clips, self.device = model.to(device), clips, device
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    @torch.inference_mode()
    def __call__(self, clip: Footage, mel: Mel, frames: range, rate: Fraction) -> Tensor:
        """The motion [n, d] of a clip's face that says these frames, at so many a second, of a sound."""
        heard = mel.windows(0, int(max(Fraction(mel.seconds), frames.stop / rate) * FPS) + 2, FPS)
        reference, (_, own) = self.reference(clip), self._seen(clip)
        sound = torch.from_numpy(heard).to(self.device)
        made = self.model.predictor.predict(sound, reference, rest=own.mean(dim=0))  # [t, d] at 25 a second
        places = torch.tensor(frames, device=self.device) * float(FPS / rate)
        low = places.long()
        return made[low].lerp(made[low + 1], (places - low)[:, None])

    def reference(self, clip: Footage) -> StyleReference | None:
        """How the speaker of a clip speaks in the next of their other clips that is long enough, if there is one."""
        place = next(k for k, one in enumerate(self.clips) if one is clip)
        following = [*self.clips[place + 1 :], *self.clips[:place]]
        others = (one for one in following if one.speaker == clip.speaker and _length(one) >= LEAST)
        other = next(others, None)
        return None if other is None else self.model.reference_of(*self._seen(other))

    def _seen(self, clip: Footage) -> tuple[Tensor, Tensor]:
        """Sound [r, 80, 16] and motion [r, d] of at most a minute of a clip, at 25 frames a second."""
        if id(clip) not in self._known:
            shown = [k for stretch in stretches(_length(clip)) for k in stretch]
            sound = torch.from_numpy(clip.mel.windows(0, shown[-1] + 1, FPS)[shown])
            faces = to_network(clip.pictures([int(k / FPS * clip.fps) for k in shown]))
            self._known[id(clip)] = sound.to(self.device), self.model.read(faces.to(self.device))
        return self._known[id(clip)]


def lips_of(checkpoint: Path, system: Any, clips: Sequence[Footage], device: torch.device) -> Lips | None:
    """For a system and its file or folder; None for one that is told nothing."""
    if not system.needs.motion:
        return None
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    return Lips(registry.load_motion(folder), clips, device)


def _length(clip: Footage) -> int:
    """Frames at 25 a second."""
    return int(len(clip) / clip.fps * FPS) or 1
