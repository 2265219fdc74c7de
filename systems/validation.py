"""How training goes, measured on held-out clips: does the mouth follow the sound, and what does it look like?"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BadInput, NoData
from dataset import ClipBatch, Footage, Needs, stack, to_pictures, window
from guided_diffusion.engine.trainer import Evaluation
from guided_diffusion.samplers import SampleConfig

from .metrics import psnr
from .model import Model
from .system import FaceSampler, System

K = TypeVar("K")  # the conditions of a system
M = TypeVar("M", bound=Model, contravariant=True)
V = TypeVar("V")  # clips of a split
D = TypeVar("D")  # and what is drawn of them

NOTES = logging.getLogger(__name__)
HELD_OUT = ("seen", "test")  # splits that are measured, never trained on
MEASURED = 64                # clips of each
ONE_STEP = SampleConfig(sampler="ddim", spacing="1")


def held_out_windows(
    clips: Sequence[Footage], *, frames: int, count: int, per_clip: int = 1, needs: Needs = Needs()  # noqa: B008
) -> ClipBatch:
    """Windows of `count` clips, spread over all, and evenly over each; the reference is the clip's first frame.

    Raises BadInput if all of these clips are too short for that.
    """
    least = frames + max(2, needs.before)
    spread = np.linspace(0, len(clips) - 1, min(count, len(clips))).astype(int)
    selected = [clips[i] for i in spread if _is_long_enough(clips[i], least)]
    if not selected:
        raise NoData(f"no clip of it has more than {least} frames; prepare longer ones")
    windows = [
        window(clip, start, frames, 0, needs)
        for clip in selected
        for start in _starts(len(clip) - frames, per_clip, needs.before)
    ]
    return replace(stack(windows), clip=torch.arange(len(selected)).repeat_interleave(per_clip))


def _starts(last: int, count: int, before: int) -> list[int]:
    """So many starts spread evenly over 0..last; over before..last where some would have too few frames before them."""
    least = 0 if int(last * 0.5 / count) >= before else before
    return [least + int((last - least) * (k + 0.5) / count) for k in range(count)]


def _is_long_enough(clip: Footage, least: int) -> bool:
    try:
        return len(clip) > least
    except BadInput as problem:
        NOTES.warning("left out: %s", problem)
        return False


def by_split(splits: Mapping[str, V], drawn: Callable[[V], D]) -> dict[str, D]:
    """What is drawn of the clips of each held-out split.

    A split that has too little to be measured does not keep anybody from training: a warning says so.
    """
    found = {}
    for split in HELD_OUT:
        if split in splits:
            try:
                found[split] = drawn(splits[split])
            except NoData as problem:
                NOTES.warning("%s is not measured: %s", split, problem)
    if not found:
        NOTES.warning("no held-out clips (%s): training without measurements", ", ".join(HELD_OUT))
    return found


def every(clips: ClipBatch, nth: int) -> ClipBatch:
    """Every nth sequence."""
    return clips.rows(slice(None, None, nth))


def mismatched(clips: ClipBatch) -> ClipBatch:
    """Each sequence with the sound, and the lip motion if it is told, of one half a batch away."""
    shift = len(clips.faces) // 2
    audio = {name: value.roll(shift, 0) for name, value in clips.audio.items()}
    motion = None if clips.motion is None else clips.motion.roll(shift, 0)
    return replace(clips, audio=audio, speech=clips.speech.roll(shift, 0), motion=motion)


def psnr_of_mouth_half(faces: Tensor, truth: Tensor) -> float:
    """Mean over items of the peak signal-to-noise ratio of the lower half, dB.  [..., 3, s, s] in [-1, 1]."""
    half = truth.shape[-2] // 2
    result, real = (pictures[..., half:, :].flatten(0, -4) for pictures in (faces, truth))
    return float(psnr(result, real).mean())


def audio_gap(system: System[K], clips: ClipBatch) -> Mapping[str, float]:
    """One-step predictions from pure noise: PSNR in dB with matched and with mismatched audio, and of the reference.

    `audio_gap_db` is matched - mismatched: above 0 means that the mouth follows the sound.
    """
    speaker = FaceSampler(system, replace(ONE_STEP, clip=system.sampling.clip))
    matched = psnr_of_mouth_half(speaker(clips), clips.faces)
    swapped = psnr_of_mouth_half(speaker(mismatched(clips)), clips.faces)
    reference = psnr_of_mouth_half(clips.reference, clips.faces)
    return {
        "matched_db": matched, "mismatched_db": swapped, "reference_db": reference, "audio_gap_db": matched - swapped,
    }  # fmt: skip


def strip(system: System[K], clips: ClipBatch) -> NDArray[np.uint8]:
    """A picture, a row a sequence: reference, truth, with matched and mismatched audio.  u8 [b*s, 4*s, 3] RGB."""
    speaker = FaceSampler(system)
    columns = [clips.reference, clips.faces, speaker(clips), speaker(mismatched(clips))]
    pictures = [to_pictures(column[:, 0]) for column in columns]        # each [b, s, s, 3]
    return np.concatenate([np.concatenate(row, axis=1) for row in zip(*pictures, strict=True)])


class Measures(Protocol[M]):
    """What a specification says of validation (specification.Specification)."""

    @property
    def windows(self) -> int: ...

    def held_out(self, model: M, batch: ClipBatch) -> ClipBatch: ...

    def measure(self, model: M, batch: ClipBatch) -> Mapping[str, float]: ...

    def picture(self, model: M, batch: ClipBatch) -> NDArray[np.uint8] | None: ...

    def warning(self, figures: Mapping[str, float]) -> str | None: ...


class Validation(Generic[M]):
    """(step, EMA weights) -> figures on the held-out splits, and a picture of samples if the model makes any.

    own is what is trained, fresh; model the whole system around it, as the specification assembles it.
    """

    def __init__(
        self,
        specification: Measures[M],
        own: Model,
        model: M,
        splits: Mapping[str, Sequence[Footage]],
        frames: int,
        device: torch.device,
    ) -> None:
        self.specification, self.own = specification, own
        self.model = model.to(device).eval().requires_grad_(False)  # it has buffers beside those of `own`

        def drawn(clips: Sequence[Footage]) -> ClipBatch:
            count, per_clip = MEASURED, specification.windows
            batch = held_out_windows(clips, frames=frames, count=count, per_clip=per_clip, needs=model.needs)
            return specification.held_out(self.model, batch.to(device))

        self.batches = by_split(splits, drawn)

    def __call__(self, step: int, weights: dict[str, Tensor]) -> Evaluation:
        self.own.load_state_dict(weights)
        figures = {
            f"{split}/{name}": value
            for split, batch in self.batches.items()
            for name, value in self.specification.measure(self.model, batch).items()
        }
        if warning := self.specification.warning(figures):
            NOTES.warning("step %d: %s", step, warning)
        last = self.batches[max(self.batches)]
        return Evaluation(figures, self.specification.picture(self.model, every(last, 8)))
