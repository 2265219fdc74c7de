"""How far sound and picture lie apart, found by a sync expert that tries all shifts (as SyncNet does, Chung 2016)."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio import Mel
from dataset import to_network

from ..lip_sync_expert import FRAMES, LipSyncExpert

REACH = 15  # frames tried to either side
BLOCK = 64  # windows embedded at a time


@dataclass(frozen=True)
class Match:
    """frames: how late the sound comes, in video frames, below 0 early; confidence: best cosine - median cosine.

    score: the cosine at no shift, the mean over the clip.
    """

    frames: int
    confidence: float
    score: float


@torch.inference_mode()
def find_offset(
    expert: LipSyncExpert, faces: NDArray[np.uint8], mel: Mel, fps: Fraction, *, reach: int = REACH
) -> Match:
    """The shift at which the sound agrees best with the faces, on the mean over all windows of the clip.

    faces u8 [t, s, s, 3] RGB.  ValueError if t < 5, or s is not the size that the expert takes.
    """
    count = len(faces) - FRAMES + 1
    if count < 1 or faces.shape[1] != expert.size:
        raise ValueError(f"an expert wants at least {FRAMES} frames of {expert.size} px faces, not {list(faces.shape)}")
    face_embeddings = torch.cat([expert.embed_faces(part) for part in _windows(faces, count)])
    mel_windows = torch.from_numpy(np.stack([mel.span(k, FRAMES, fps) for k in range(count + reach)]))
    sound = torch.cat([expert.embed_sound(part) for part in torch.split(mel_windows, BLOCK)])
    means = {shift: _mean_cosine(face_embeddings, sound, shift) for shift in range(-min(reach, count - 1), reach + 1)}
    best = max(means, key=means.__getitem__)
    return Match(best, means[best] - float(np.median(list(means.values()))), means[0])


def _windows(faces: NDArray[np.uint8], count: int) -> list[Tensor]:
    """Every 5 frames that follow each other, a block at a time: [n, 5, 3, s, s]."""
    blocks = range(0, count, BLOCK)
    return [
        torch.stack([to_network(faces[k : k + FRAMES]) for k in range(first, min(first + BLOCK, count))])
        for first in blocks
    ]


def _mean_cosine(faces: Tensor, sound: Tensor, shift: int) -> float:
    """Of each window of faces with the sound `shift` frames later, where there is one."""
    first, last = max(0, -shift), min(len(faces), len(sound) - shift)
    return float((faces[first:last] * sound[first + shift : last + shift]).sum(dim=1).mean())
