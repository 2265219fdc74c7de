"""How training goes, measured on held-out clips: does it hear, and what does it look like?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset import Clip, ClipBatch, stack, to_pictures, window
from errors import BadInput
from guided_diffusion.samplers import SampleConfig

from .sync import SyncExpert
from .system import Speaker, System

ONE_STEP = SampleConfig(sampler="ddim", spacing="1")


def held_out_windows(clips: list[Clip], *, frames: int, count: int) -> ClipBatch:
    """One window from the middle of each of `count` clips, spread over all; the reference is the clip's first frame.

    Raises BadInput if all clips are too short for that.
    """
    usable = [clip for clip in clips if len(clip) > frames + 2]
    if not usable:
        raise BadInput(f"no held-out clip has more than {frames + 2} frames; prepare longer ones or leave them out")
    chosen = [usable[i] for i in np.linspace(0, len(usable) - 1, min(count, len(usable))).astype(int)]
    return stack([window(clip, (len(clip) - frames) // 2, frames, 0) for clip in chosen])


def with_other_sound(clips: ClipBatch) -> ClipBatch:
    """Each sequence with the sound of one half a batch away."""
    shift = len(clips.mel) // 2
    return ClipBatch(clips.faces, clips.reference, clips.mel.roll(shift, 0), clips.speech.roll(shift, 0))


def psnr_of_mouth_half(faces: Tensor, truth: Tensor) -> float:
    """Mean over items of the peak signal-to-noise ratio of the lower half, dB.  [..., 3, s, s] in [-1, 1]."""
    half = truth.shape[-2] // 2
    error = ((faces - truth)[..., half:, :] ** 2).flatten(0, -4).mean(dim=(1, 2, 3))
    return float((10 * torch.log10(4 / error)).mean())


def hearing(system: System[Any], clips: ClipBatch) -> Mapping[str, float]:
    """One-step predictions from pure noise: PSNR with the own sound, with another's, and of the pasted reference.

    `hears` is own - other: above 0 means that the mouth follows the sound.
    """
    speaker = Speaker(system, ONE_STEP)
    own = psnr_of_mouth_half(speaker(clips), clips.faces)
    other = psnr_of_mouth_half(speaker(with_other_sound(clips)), clips.faces)
    reference = psnr_of_mouth_half(clips.reference, clips.faces)
    return {"own_db": own, "other_db": other, "reference_db": reference, "hears_db": own - other}


@torch.inference_mode()
def matching(expert: SyncExpert, clips: ClipBatch) -> Mapping[str, float]:
    """How often a window's own sound is nearer than one other sound, and is the nearest of all."""
    cosines = expert.embed_faces(clips.faces) @ expert.embed_sound(clips.speech).T
    own = cosines.diagonal()[:, None]
    n = len(cosines)
    return {
        "against_one": float((own > cosines).float().sum() / (n * (n - 1))),
        "nearest_of_all": float((own >= cosines).all(dim=1).float().mean()),
        "own_cosine": float(own.mean()),
        "other_cosine": float((cosines.sum() - own.sum()) / (n * (n - 1))),
    }


def strip(system: System[Any], clips: ClipBatch) -> NDArray[np.uint8]:
    """A picture, a row a sequence: reference, truth, own sound, another's sound.  u8 [b*s, 4*s, 3] RGB."""
    speaker = Speaker(system)
    columns = [clips.reference, clips.faces, speaker(clips), speaker(with_other_sound(clips))]
    pictures = [to_pictures(column[:, 0]) for column in columns]        # each [b, s, s, 3]
    return np.concatenate([np.concatenate(row, axis=1) for row in zip(*pictures, strict=True)])
