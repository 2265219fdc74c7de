"""Whether the mouth opens when the real one does: every frame of held-out clips, made with own and with wrong sound."""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from tqdm import tqdm

from core.arrays import Pictures
from dataset import ClipBatch, Footage, to_network, to_pictures
from face_detection.mediapipe_client import MediaPipe, in_margin
from guided_diffusion.engine.device import resolve_device
from guided_diffusion.samplers import SampleConfig
from systems import registry
from systems.metrics import correlation
from systems.system import FaceSampler

from ..metrics.mouth import LEAST, opening
from ..report.tables import markdown
from ..stage1 import Lips, lips_of
from ..windows import face_sampler, group_of, held_out, shown, wrong_sounds

K = TypeVar("K")  # the conditions of a system


def run(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Prints a row a group: the mean correlation over clips with the real opening, of own and of wrong sound."""
    device = resolve_device(options.device)
    system = registry.load_system(options.model_path)
    sampling = SampleConfig("dpm++", options.spacing) if options.spacing else None
    speaker = face_sampler(system, device, sampling=sampling)
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with MediaPipe(options.mediapipe_python, options.landmarker) as finder:
        for split, clips in held_out(options.data, system).items():
            lips = lips_of(options.model_path, system, clips, device)
            pairs = defaultdict(list)
            for clip, wrong in zip(clips, wrong_sounds(clips, split), strict=True):
                pairs[group_of(split, clip.speaker)].append((clip, wrong))
            selected = [pair for group in pairs.values() for pair in group[:: max(1, len(group) // options.clips)]]
            for clip, wrong in tqdm(selected, desc=split, unit="clip", disable=None):
                pictures = spoken(speaker, clip, wrong, lips, device)
                if (values := correlations(finder, pictures)) is not None:
                    errors[group_of(split, clip.speaker)].append(values)
    print(table(errors))


def spoken(
    speaker: FaceSampler[K], clip: Footage, wrong: Footage, lips: Lips | None, device: torch.device
) -> dict[str, Pictures]:
    """All frames of a clip, real, made with its own sound and with the wrong one: u8 [t, s, s, 3] each."""
    n, count = len(clip), speaker.system.needs.references
    real = clip.pictures(range(n))
    faces = to_network(real)[None]
    references = faces[0, shown(n, count)][None]  # [1, n, k, 3, s, s]
    results = {"real": real}
    for kind, sound in (("own", clip), ("wrong", wrong)):
        mel = torch.from_numpy(sound.mel.windows(0, n, clip.fps))[None]
        motion = None if lips is None else lips(clip, sound, range(n), clip.fps)[None]
        several = references if count > 1 else None
        batch = ClipBatch(faces, references[:, :, 0], {"mel": mel}, mel[:, 0], motion=motion, references=several)
        results[kind] = to_pictures(speaker(batch.to(device))[0])
    return results


def correlations(finder: MediaPipe, pictures: Mapping[str, Pictures]) -> tuple[float, float] | None:
    """Pearson's r with the real opening, of own and of wrong sound; None if there is no telling."""
    real, own, wrong = (
        opening(finder.find(in_margin(pictures[kind]))) for kind in ("real", "own", "wrong")
    )
    one, other = correlation(real, own, LEAST), correlation(real, wrong, LEAST)
    return None if one is None or other is None else (one, other)


def table(found: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Markdown."""
    rows = [
        [group, str(len(values)), *(f"{mean:.2f}" for mean in np.mean(values, axis=0))]
        for group, values in sorted(found.items())
    ]
    return markdown(["clips", "n", "r own sound", "r other sound"], rows)
