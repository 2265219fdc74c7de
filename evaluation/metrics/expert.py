"""What a sync expert of one's own makes of the results: ours, or Wav2Lip's."""

from pathlib import Path

import numpy as np
import torch

from core.arrays import Pictures
from face_detection import Box, cut
from systems.lip_sync_expert import FRAMES, LipSyncExpert
from systems.registry import load_expert
from systems.sync import Match, SyncExpert, find_offset

from ..video_sample import FPS, CachedPerSample, VideoSample
from .metric import Figure, MetricSpec, clip_mean


class ExpertScore:
    """The expert's cosine and offset of samples."""

    def __init__(self, expert: LipSyncExpert, name: str) -> None:
        """name: which expert, for the table."""
        self._expert = expert
        self._cached = CachedPerSample(self._of)
        whose = f"{'ours' if isinstance(expert, SyncExpert) else 'Prajwal et al. 2020'}, {name}"
        self.score = Figure(
            "sync expert's cosine", "", "up", f"{whose}: 5 frames against their sound, unshifted; mean over the clip"
        )
        self.offset = Figure(
            "sync expert's offset", "frames", "down", f"{whose}: |the shift, of -15..15, of the highest cosine|", 2
        )

    @classmethod
    def load(cls, path: Path, device: torch.device) -> "ExpertScore":
        """A checkpoint of train.py --system sync, or Wav2Lip's.  Raises BadInput for anything else."""
        return cls(load_expert(path).to(device), path.name)

    def metric_specs(self) -> list[MetricSpec]:
        """The two figures of the expert."""
        return [
            clip_mean(self.score, lambda _, fake: None if (sync := self._cached(fake)) is None else sync.score),
            clip_mean(self.offset, lambda _, fake: None if (sync := self._cached(fake)) is None else abs(sync.frames)),
        ]

    def _of(self, sample: VideoSample) -> Match | None:
        if len(sample) < FRAMES:
            return None
        return find_offset(self._expert, resized(sample.faces, self._expert.size), sample.mel, FPS)


def resized(faces: Pictures, size: int) -> Pictures:
    """u8 [t, s, s, 3] -> [t, size, size, 3]; the same array if it is that already."""
    side = faces.shape[1]
    if side == size:
        return faces
    return np.stack([cut(face, Box(0, 0, side, side), size) for face in faces])
