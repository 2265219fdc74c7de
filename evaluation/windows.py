"""Frames of held-out clips: which are made and by whom, which they are shown, and whose sound is the wrong one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import NoData
from dataset import ClipBatch, Footage, Needs, corpus, stack, window
from guided_diffusion.engine.device import resolve_precision, store_weights
from guided_diffusion.samplers import SampleConfig
from systems.system import FaceSampler, System

K = TypeVar("K")  # the conditions of a system

SPLITS = ("seen", "test")
T = TypeVar("T")


def face_sampler(
    system: System[K], device: torch.device, precision: str = "auto", sampling: SampleConfig | None = None
) -> FaceSampler[K]:
    """Who makes faces by a system, which is moved to the device; sampling: else as the system itself says, but for an
    audio strength, which is for the eye: what is compared is what was learned."""
    dtype = resolve_precision(precision, device)
    plain = replace(system.sampling, audio_strength=1.0)
    return FaceSampler(store_weights(system.to(device), dtype), sampling or plain, precision=dtype)


def held_out(data: Path, system: System[K]) -> dict[str, list[Footage]]:
    """The clips of the splits seen and test, as far as there are, cut as the system sees faces.

    Raises BadInput if the data has neither, or cannot be cut so.
    """
    splits = corpus(data, system.size, getattr(system.config, "framing", "box"), to_train=False)
    found = {split: list(splits[split]) for split in SPLITS if split in splits}
    if not found:
        raise NoData(f"{data}: has no clips of the splits {' and '.join(SPLITS)}, which nobody trained on; add some")
    return found


def spread(items: Sequence[T], count: int) -> list[T]:
    """So many of them, evenly spread over all; all if there are fewer."""
    return [items[k] for k in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)]


def shown(frames: int, count: int) -> NDArray[np.int64]:
    """Which frames each frame of a clip is shown: `count` spread over the clip's other half.  [frames, count]"""
    halves = range(frames // 2, frames), range(frames // 2)
    places = [[half[(2 * k + 1) * len(half) // (2 * count)] for k in range(count)] for half in halves]
    second = np.arange(frames) >= frames // 2
    return np.asarray(np.array(places, np.int64)[second.astype(int)])


def single_frames(clip: Footage, count: int, needs: Needs) -> ClipBatch:
    """`count` frames spread over the clip, each a sequence of its own."""
    n = len(clip)
    places = np.linspace(0, n - 1, min(count, n) + 2).astype(int)[1:-1].tolist()
    references = shown(n, needs.references).tolist()
    return stack([window(clip, k, 1, references[k], needs) for k in places])


def group_of(split: str, speaker: str) -> str:
    """Arabic single words, 0-2 frames late, are counted apart; so is the GRID corpus, which rests in training."""
    kind = "Arabic words" if speaker.startswith("LRCAR") else "GRID" if speaker.startswith("GRID") else "other"
    return f"{split}, {kind}"


def wrong_sounds(clips: Sequence[Footage], split: str) -> list[Footage]:
    """For each clip another one of its group, of another speaker where the group has several.

    Raises NoData if there is no other clip.
    """
    if len(clips) == 1:
        raise NoData(f"{clips[0].name}: is the only clip of split {split}, and a wrong sound is another's; add clips")
    result = []
    for i, clip in enumerate(clips):
        same = [c for c in clips if group_of(split, c.speaker) == group_of(split, clip.speaker) and c is not clip]
        foreign = [c for c in same if c.speaker != clip.speaker] or same or [c for c in clips if c is not clip]
        result.append(foreign[(i * 7 + 3) % len(foreign)])
    return result
