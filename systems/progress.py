"""How training goes, measured on held-out clips: does it hear, and what does it look like?"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BadInput
from dataset import ClipBatch, Footage, Needs, stack, to_pictures, window
from guided_diffusion.samplers import SampleConfig

from .sync import SyncExpert
from .system import Speaker, System

NOTES = logging.getLogger(__name__)
ONE_STEP = SampleConfig(sampler="ddim", spacing="1")


def held_out_windows(
    clips: Sequence[Footage], *, frames: int, count: int, per_clip: int = 1, needs: Needs = Needs()  # noqa: B008
) -> ClipBatch:
    """Windows of `count` clips, spread over all, and evenly over each; the reference is the clip's first frame.

    Raises BadInput if all of these clips are too short for that.
    """
    spread = np.linspace(0, len(clips) - 1, min(count, len(clips))).astype(int)
    chosen = [clips[i] for i in spread if _is_long_enough(clips[i], frames + 2)]
    if not chosen:
        raise BadInput(f"no held-out clip has more than {frames + 2} frames; prepare longer ones or leave them out")
    windows = [
        window(clip, int((len(clip) - frames) * (i + 0.5) / per_clip), frames, 0, needs)
        for clip in chosen
        for i in range(per_clip)
    ]
    return replace(stack(windows), clip=torch.arange(len(chosen)).repeat_interleave(per_clip))


def _is_long_enough(clip: Footage, least: int) -> bool:
    try:
        return len(clip) > least
    except BadInput as problem:
        NOTES.warning("left out: %s", problem)
        return False


def every(clips: ClipBatch, nth: int) -> ClipBatch:
    """Every nth sequence."""
    return clips.rows(slice(None, None, nth))


def with_other_sound(clips: ClipBatch) -> ClipBatch:
    """Each sequence with the sound, and the lip motion if it is told, of one half a batch away."""
    shift = len(clips.mel) // 2
    banks = None if clips.banks is None else clips.banks.roll(shift, 0)
    motion = None if clips.motion is None else clips.motion.roll(shift, 0)
    return replace(clips, mel=clips.mel.roll(shift, 0), speech=clips.speech.roll(shift, 0), banks=banks, motion=motion)


def psnr_of_mouth_half(faces: Tensor, truth: Tensor) -> float:
    """Mean over items of the peak signal-to-noise ratio of the lower half, dB.  [..., 3, s, s] in [-1, 1]."""
    half = truth.shape[-2] // 2
    error = ((faces - truth)[..., half:, :] ** 2).flatten(0, -4).mean(dim=(1, 2, 3))
    return float((10 * torch.log10(4 / error)).mean())


def hearing(system: System[Any], clips: ClipBatch) -> Mapping[str, float]:
    """One-step predictions from pure noise: PSNR with the own sound, with another's, and of the pasted reference.

    `hears` is own - other: above 0 means that the mouth follows the sound.
    """
    speaker = Speaker(system, replace(ONE_STEP, clip=system.sampling.clip))
    own = psnr_of_mouth_half(speaker(clips), clips.faces)
    other = psnr_of_mouth_half(speaker(with_other_sound(clips)), clips.faces)
    reference = psnr_of_mouth_half(clips.reference, clips.faces)
    return {"own_db": own, "other_db": other, "reference_db": reference, "hears_db": own - other}


@torch.inference_mode()
def matching(expert: SyncExpert, clips: ClipBatch) -> Mapping[str, float]:
    """Among the windows of each clip: how often a window's own sound is nearer than one other, and the nearest of all.

    Chance is 0.5 and 1 / (windows a clip).  ValueError if no clip has two windows.
    """
    if clips.clip is None or (distinct := len(set(clips.clip.tolist()))) == len(clips.clip):
        raise ValueError("matching needs several windows of a clip")
    cosines = expert.embed_faces(clips.faces) @ expert.embed_sound(clips.speech).T
    own = cosines.diagonal()[:, None]
    others = clips.clip[:, None] == clips.clip[None, :]
    others.fill_diagonal_(False)
    return {
        "against_one": float((own > cosines)[others].float().mean()),
        "nearest_of_all": float(((own > cosines) | ~others).all(dim=1).float().mean()),
        "own_cosine": float(own.mean()),
        "other_cosine": float(cosines[others].mean()),
        "loss": float(sum(expert.losses(clips, torch.Generator())["expert"].values())),
        "chance": math.log(len(clips.clip) / distinct),
    }


@torch.inference_mode()
def restoring(autoencoder: Any, clips: ClipBatch) -> Mapping[str, float]:
    """What latents keep of faces: PSNR of the whole and of the lower half, dB; mean and deviation of the latents."""
    faces = clips.faces.flatten(0, 1)
    latents = autoencoder.encode(faces)
    restored = autoencoder.decode(latents).clamp(-1, 1)
    whole = 10 * torch.log10(4 / ((restored - faces) ** 2).mean(dim=(1, 2, 3)))
    return {
        "psnr_db": float(whole.mean()),
        "mouth_half_db": psnr_of_mouth_half(restored, faces),
        "latent_mean": float(latents.mean()),
        "latent_deviation": float(latents.std()),
    }


@torch.inference_mode()
def restored_strip(autoencoder: Any, clips: ClipBatch) -> NDArray[np.uint8]:
    """A picture: faces in the upper row, what latents keep of them below.  u8 [2*s, b*s, 3] RGB."""
    faces = clips.faces[:, 0]
    rows = [to_pictures(faces), to_pictures(autoencoder.decode(autoencoder.encode(faces)))]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def strip(system: System[Any], clips: ClipBatch) -> NDArray[np.uint8]:
    """A picture, a row a sequence: reference, truth, own sound, another's sound.  u8 [b*s, 4*s, 3] RGB."""
    speaker = Speaker(system)
    columns = [clips.reference, clips.faces, speaker(clips), speaker(with_other_sound(clips))]
    pictures = [to_pictures(column[:, 0]) for column in columns]        # each [b, s, s, 3]
    return np.concatenate([np.concatenate(row, axis=1) for row in zip(*pictures, strict=True)])
