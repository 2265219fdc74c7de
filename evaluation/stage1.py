"""Stage 1 on held-out clips: what it hears and reads of them, and what lips do, for systems that are told."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from dataset import Footage, to_network
from dataset.corpus import sound_of
from lipsync.motion.style_reference import FPS, stretches
from systems import registry
from systems.stage1 import LEAST, Stage1, StyleReference
from systems.style import LipMotion, labelled
from systems.style.labels import LabelledClip
from systems.style.motion_progress import hearing
from systems.system import System

K = TypeVar("K")  # the conditions of a system


class LabelledClips:
    """Clips of which the lip motion is known, by split; none is heard or read twice."""

    def __init__(self, model: LipMotion, data: Path) -> None:
        """data: a pack, or a prepared folder with landmarks."""
        self.splits = labelled(data, model.size, model.space)
        self._model, self._hear = model, hearing(model, torch.float32)
        self._heard: dict[int, Tensor] = {}
        self._read: dict[int, Tensor] = {}

    def heard(self, clip: LabelledClip) -> Tensor:
        """What is heard in a clip at 25 frames a second, [t, h]."""
        if id(clip) not in self._heard:
            self._heard[id(clip)] = self._hear(clip)
        return self._heard[id(clip)]

    def read(self, clip: LabelledClip, frames: int) -> Tensor:
        """The motion that the reader sees in the first frames of a clip, at 25 a second, [n, d]."""
        if len(self._read.get(id(clip), ())) < min(frames, len(clip.moves)):
            self._read[id(clip)] = self._model.read(to_network(clip.clip.pictures(clip.sources[:frames])))
        return self._read[id(clip)][:frames]


def by_speaker(clips: Iterable[LabelledClip]) -> dict[str, list[LabelledClip]]:
    """The clips of each speaker, in their order."""
    clips_of: dict[str, list[LabelledClip]] = defaultdict(list)
    for clip in clips:
        clips_of[clip.speaker].append(clip)
    return clips_of


class Lips:
    """What the lips of the clips of one split do, as stage 1 predicts it from a sound, as in generation.

    The manner is that of the next other clip of the same speaker, and nobody's where there is none: the clip's own,
    which generate.py takes by default, tells the answer here.  The mean around which the lips move is that of the
    clip's own faces, as in generation: the shape of this mouth, whatever it says.  No clip is read twice.
    """

    def __init__(self, model: Stage1, clips: Sequence[Footage], device: torch.device) -> None:
        self.model, self.clips, self.device = model.to(device), clips, device
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    @torch.inference_mode()
    def __call__(self, clip: Footage, said: Footage, frames: range, rate: Fraction) -> Tensor:
        """The motion [n, d] of a clip's face that says these frames, at so many a second, of another's sound."""
        sound = sound_of(said)
        count = int(max(Fraction(sound.mel.seconds), frames.stop / rate) * FPS) + 2
        reference, (_, own) = self.reference(clip), self._seen(clip)
        features = self.model.hear(sound, [range(count)])(0, count)
        motion = self.model.predictor.predict(features, reference, neutral=own.mean(dim=0))  # [t, d] at 25 a second
        places = torch.tensor(frames, device=self.device) * float(FPS / rate)
        low = places.long()
        return motion[low].lerp(motion[low + 1], (places - low)[:, None])

    def reference(self, clip: Footage) -> StyleReference | None:
        """How the speaker of a clip speaks in the next of their other clips that is long enough, if there is one."""
        place = next(k for k, one in enumerate(self.clips) if one is clip)
        following = [*self.clips[place + 1 :], *self.clips[:place]]
        others = (one for one in following if one.speaker == clip.speaker and _length(one) >= LEAST)
        other = next(others, None)
        return None if other is None else self.model.reference_of(*self._seen(other))

    def _seen(self, clip: Footage) -> tuple[Tensor, Tensor]:
        """What is heard [r, h] and motion [r, d] of at most a minute of a clip, at 25 frames a second."""
        if id(clip) not in self._known:
            ranges = stretches(_length(clip))
            shown = [k for stretch in ranges for k in stretch]
            hear = self.model.hear(sound_of(clip), ranges)
            features = torch.cat([hear(stretch.start, stretch.stop) for stretch in ranges])
            faces = to_network(clip.pictures([int(k / FPS * clip.fps) for k in shown]))
            self._known[id(clip)] = features, self.model.read(faces.to(self.device))
        return self._known[id(clip)]


def lips_of(checkpoint: Path, system: System[K], clips: Sequence[Footage], device: torch.device) -> Lips | None:
    """For a system and its file or folder; None for one that is told nothing."""
    if not system.needs.motion:
        return None
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    return Lips(registry.load_motion(folder), clips, device)


def _length(clip: Footage) -> int:
    """Frames at 25 a second."""
    return int(len(clip) / clip.fps * FPS) or 1
