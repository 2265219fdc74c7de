"""What a sync expert is worth on held-out clips, and what it thinks of a checkpoint."""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from audio import MEL_RATE, MELS, SILENCE, Mel
from core.errors import Mismatch
from dataset import ClipBatch, Footage, corpus
from guided_diffusion.engine.device import resolve_device
from systems import registry, validation
from systems.lip_sync_expert import FRAMES, LipSyncExpert
from systems.sync import SyncExpert, find_offset
from systems.sync.specification import retrieval_accuracy
from systems.system import FaceSampler

from ..report.results import over_speakers
from ..report.tables import markdown, shown
from ..stage1 import Lips, lips_of
from ..windows import SPLITS, face_sampler, spread

K = TypeVar("K")  # the conditions of a system

SHIFTS = range(-5, 6)
SHIFTED = 40  # clips whose sound is shifted, unless --clips says otherwise


@torch.inference_mode()
def run(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Prints what the expert thinks of checkpoints, or, if there are none, what it is worth."""
    device = resolve_device(options.device)
    expert = registry.load_expert(options.expert).to(device)
    splits = {split: list(clips) for split, clips in corpus(options.data, expert.size).items() if split in SPLITS}
    if options.model_path is not None:
        print(judged(options, expert, splits, device))
        return
    if isinstance(expert, SyncExpert):
        rows = [accuracy(expert, clips, split) for split, clips in splits.items()]
        print(markdown(["split", "clips", "against one", "nearest of 8", "loss"], rows))
    rows = [shifts(expert, spread(clips, options.clips or SHIFTED), split) for split, clips in splits.items()]
    print("\n" + markdown(["split", "clips", "own offset within 1 frame", "shift found", "within 1 frame"], rows))


def shifted(mel: Mel, columns: int) -> Mel:
    """The sound later by so many columns, or earlier if below 0."""
    silence = np.full((max(columns, 0), MELS), SILENCE, np.float32)
    moved = np.concatenate([silence, mel.columns[max(-columns, 0) :]])
    return Mel(moved, len(moved) / MEL_RATE)


def accuracy(expert: SyncExpert, clips: Sequence[Footage], split: str) -> list[str]:
    """A row: how often the own sound of a moment is nearer than one other, and the nearest of all."""
    batch = validation.held_out_windows(clips, frames=FRAMES, count=len(clips), per_clip=8)
    f = retrieval_accuracy(expert, batch)
    count = len(set(batch.clip.tolist())) if batch.clip is not None else 0
    return [split, str(count), f"{f['against_one']:.1%}", f"{f['nearest_of_all']:.1%}", f"{f['loss']:.3f}"]


def shifts(expert: LipSyncExpert, clips: Sequence[Footage], split: str) -> list[str]:
    """A row: how often a shift of the sound is found, and within a frame."""
    errors = []
    for clip in tqdm(clips, desc=f"shifts, {split}", unit="clip", disable=None):
        faces = clip.pictures(range(len(clip)))
        own = find_offset(expert, faces, clip.mel, clip.fps).frames
        for shift in SHIFTS:
            columns = round(shift * MEL_RATE / float(clip.fps))
            offset = find_offset(expert, faces, shifted(clip.mel, columns), clip.fps).frames
            errors.append((abs(own), abs(offset - shift - own)))
    own_offset, error = np.array(errors).T
    shares = (own_offset <= 1, error == 0, error <= 1)
    return [split, str(len(clips)), *(f"{share.mean():.0%}" for share in shares)]


def windows(speaker: FaceSampler[K], clips: Sequence[Footage], lips: Lips | None) -> tuple[ClipBatch, ClipBatch]:
    """The 5 frames in the middle of each clip, with their own sound and with that of another clip."""
    needs = replace(speaker.system.needs, before=0)  # a system that needs frames before has those that it makes
    own = validation.held_out_windows(clips, frames=FRAMES, count=len(clips), needs=needs)
    wrong = validation.mismatched(own)
    if lips is None:
        return own, wrong

    def said(sounds: Sequence[Footage]) -> Tensor:
        starts = [(len(sound) - FRAMES) // 2 for sound in sounds]
        triples = zip(clips, sounds, starts, strict=True)
        return torch.stack([lips(c, s, range(start, start + FRAMES), s.fps) for c, s, start in triples])

    shift = len(clips) // 2  # as mismatched gives them, which would hand on the motion of another's mouth as well
    return replace(own, motion=said(clips)), replace(wrong, motion=said([*clips[-shift:], *clips[:-shift]]))


def scores(
    expert: LipSyncExpert, speaker: FaceSampler[K], clips: Sequence[Footage], lips: Lips | None, device: torch.device
) -> list[str]:
    """A row's cells: clips, cosines, PSNR of the mouth half, seconds a frame."""
    clips = [clip for clip in clips if len(clip) > FRAMES + 2]
    batch, other = (one.to(device) for one in windows(speaker, clips, lips))
    begin = time.perf_counter()
    own = speaker(batch)
    seconds = (time.perf_counter() - begin) / own.shape[:2].numel()
    wrong = speaker(other)
    cosines = {
        name: (expert.embed_faces(faces) * expert.embed_sound(batch.speech)).sum(dim=1)
        for name, faces in (("real", batch.faces), ("own", own), ("wrong", wrong))
    }
    speakers = [clip.speaker for clip in clips]
    cells = [
        shown(over_speakers(zip(speakers, values.tolist(), strict=True)), 3, "+")
        for values in (*cosines.values(), cosines["own"] - cosines["wrong"])
    ]
    psnr = validation.psnr_of_mouth_half(own, batch.faces)
    return [str(len(batch.faces)), *cells, f"{psnr:.2f}", f"{seconds:.3f}"]


def judged(
    options: argparse.Namespace, expert: LipSyncExpert, splits: Mapping[str, Sequence[Footage]], device: torch.device
) -> str:
    """A table of checkpoints and ways to sample them."""
    rows = []
    for path in options.model_path:
        system = registry.load_system(path).to(device)
        if getattr(system.config, "framing", "box") != "box":
            raise Mismatch(
                f"{path}: its faces are aligned, and a sync expert knows those framed by a box; measure it with python"
                " -m evaluation checkpoint, or its stage 1 with lips"
            )
        lips = {split: lips_of(path, system, clips, device) for split, clips in splits.items()}
        usual = replace(system.sampling, sampler=options.sampler or system.sampling.sampler)
        for spacing in options.steps or [usual.spacing]:
            way = replace(usual, spacing=spacing)
            speaker = face_sampler(system, device, sampling=way)
            for split, clips in splits.items():
                cells = scores(expert, speaker, spread(clips, options.clips or len(clips)), lips[split], device)
                rows.append([path.stem, f"{way.sampler} {spacing}", split, *cells])
    return markdown(
        ["checkpoint", "sampling", "split", "clips", "real", "own sound", "wrong sound", "own - wrong", "PSNR",
         "s a frame"], rows,
    )  # fmt: skip
