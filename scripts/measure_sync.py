"""What a sync expert is worth on held-out clips, and what it thinks of a checkpoint.

    python scripts/measure_sync.py --data PREPARED --expert EXPERT [--model_path CHECKPOINT ...] [--clips N]
                                   [--sampler dpm++] [--steps 4 8 16]

accuracy  among 8 moments of a clip: how often a moment's own sound is nearer than one other (chance 50 %), and the
          nearest of all (chance 12.5 %).  The loss is that of training, ln 8 = 2.079 is chance
shifts    the sound is moved by -5..5 frames and the expert asked by how many: how often it is right, and within 1.
          The clips' own offset, as the expert finds it, is counted in
scores    cosines of 5 frames in the middle of each clip with their sound: the real face, the checkpoint's with the own
          sound, and with the sound of another clip.  95 % bootstrap intervals over speakers.  Beside them PSNR of the
          mouth half with the own sound, dB, and seconds a frame.  A row for each checkpoint, split and --steps.
          A style model (its folder) is told the lip motion that its stage 1 predicts of the sound, in the manner of
          another clip of the speaker (scripts/lips.py); the seconds are those of stage 2
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio import MEL_RATE, MELS, SILENCE, Mel
from core.flags import Parser
from core.guard import reads
from core.program import exit_code
from dataset import ClipBatch, Footage, corpus
from guided_diffusion.engine.device import resolve_device, resolve_precision, store_weights
from scripts.lips import Lips, lips_of
from systems import registry, validation
from systems.judge import FRAMES, Judge
from systems.sync import SyncExpert, find_offset
from systems.sync.specification import retrieval_accuracy
from systems.system import FaceSampler

SPLITS = ("seen", "test")
SHIFTS = range(-5, 6)


def shifted(mel: Mel, columns: int) -> Mel:
    """The sound later by so many columns, or earlier if below 0."""
    silence = np.full((max(columns, 0), MELS), SILENCE, np.float32)
    moved = np.concatenate([silence, mel.columns[max(-columns, 0) :]])
    return Mel(moved, len(moved) / MEL_RATE)


def some(clips: list[Footage], count: int) -> list[Footage]:
    return [clips[i] for i in np.linspace(0, len(clips) - 1, min(count, len(clips))).astype(int)]


def accuracy(expert: SyncExpert, clips: list[Footage], split: str) -> str:
    batch = validation.held_out_windows(clips, frames=FRAMES, count=len(clips), per_clip=8)
    f = retrieval_accuracy(expert, batch)
    return (
        f"| {split} | {len(set(batch.clip.tolist()))} | {f['against_one']:.1%} | {f['nearest_of_all']:.1%}"
        f" | {f['loss']:.3f} |"
    )


def shifts(judge: Judge, clips: list[Footage], split: str) -> str:
    errors = []
    for clip in tqdm(clips, desc=f"shifts, {split}", unit="clip", disable=None):
        faces = clip.pictures(range(len(clip)))
        own = find_offset(judge, faces, clip.mel, clip.fps).frames
        for shift in SHIFTS:
            columns = round(shift * MEL_RATE / float(clip.fps))
            found = find_offset(judge, faces, shifted(clip.mel, columns), clip.fps).frames
            errors.append((abs(own), abs(found - shift - own)))
    own_offset, error = np.array(errors).T
    return (
        f"| {split} | {len(clips)} | {(own_offset <= 1).mean():.0%} | {(error == 0).mean():.0%}"
        f" | {(error <= 1).mean():.0%} |"
    )


def windows(speaker: FaceSampler, clips: list[Footage], lips: Lips | None) -> tuple[ClipBatch, ClipBatch]:
    """The 5 frames in the middle of each clip, with their own sound and with that of another clip."""
    needs = replace(speaker.system.needs, before=0)  # a system that needs frames before has those that it makes
    own = validation.held_out_windows(clips, frames=FRAMES, count=len(clips), needs=needs)
    wrong = validation.mismatched(own)
    if lips is None:
        return own, wrong

    def said(sounds: list[Footage]) -> Tensor:
        starts = [(len(sound) - FRAMES) // 2 for sound in sounds]
        triples = zip(clips, sounds, starts, strict=True)
        return torch.stack([lips(c, s, range(start, start + FRAMES), s.fps) for c, s, start in triples])

    shift = len(clips) // 2  # as with_other_sound gives them, which would hand on the motion of another's mouth as well
    return replace(own, motion=said(clips)), replace(wrong, motion=said([*clips[-shift:], *clips[:-shift]]))


def scores(judge: Judge, speaker: FaceSampler, clips: list[Footage], lips: Lips | None, device: torch.device) -> str:
    clips = [clip for clip in clips if len(clip) > FRAMES + 2]
    batch, other = (one.to(device) for one in windows(speaker, clips, lips))
    begin = time.perf_counter()
    own = speaker(batch)
    seconds = (time.perf_counter() - begin) / own.shape[:2].numel()
    wrong = speaker(other)
    cosines = {
        name: (judge.embed_faces(faces) * judge.embed_sound(batch.speech)).sum(dim=1)
        for name, faces in (("real", batch.faces), ("own", own), ("wrong", wrong))
    }
    cells = []
    speakers = [clip.speaker for clip in clips]
    for values in (*cosines.values(), cosines["own"] - cosines["wrong"]):
        mean, low, high = interval(values.tolist(), speakers)
        cells.append(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]")
    psnr = validation.psnr_of_mouth_half(own, batch.faces)
    return f"{len(batch.faces)} | " + " | ".join(cells) + f" | {psnr:.2f} | {seconds:.3f}"


def judged(options: argparse.Namespace, expert: Judge, splits: dict[str, list[Footage]], device: torch.device) -> None:
    """A table of checkpoints and ways to sample them."""
    print("| checkpoint | sampling | split | clips | real | own sound | wrong sound | own - wrong | PSNR | s a frame |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for path in options.model_path:
        system = registry.load_system(path).to(device)
        lips = {split: lips_of(path, system, clips, device) for split, clips in splits.items()}
        usual = replace(system.sampling, sampler=options.sampler or system.sampling.sampler)
        for spacing in options.steps or [usual.spacing]:
            way = replace(usual, spacing=spacing)
            precision = resolve_precision("auto", device)
            speaker = FaceSampler(store_weights(system, precision), way, precision=precision)
            for split, clips in splits.items():
                row = scores(expert, speaker, some(clips, options.clips or len(clips)), lips[split], device)
                print(f"| {path.stem} | {way.sampler} {spacing} | {split} | {row} |", flush=True)


def interval(values: list[float], speakers: list[str]) -> tuple[float, float, float]:
    """Mean over speakers of their means, with a 95 % bootstrap interval."""
    by_speaker = defaultdict(list)
    for value, speaker in zip(values, speakers, strict=True):
        by_speaker[speaker].append(value)
    means = np.array([np.mean(found) for found in by_speaker.values()])
    draws = np.random.default_rng(0).choice(means, (10_000, len(means))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(means.mean()), float(low), float(high)


@torch.inference_mode()
def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=reads, required=True, help="data with the splits seen and test")
    parser.add_argument("--expert", type=reads, required=True)
    parser.add_argument("--model_path", type=reads, nargs="+", help="checkpoints to judge")
    parser.add_argument("--sampler", help="how these are sampled; else as they say themselves")
    parser.add_argument("--steps", nargs="+", help="in how many steps; several to compare")
    parser.add_argument("--clips", type=int, help="of each split, for shifts (40) and scores (all)")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = resolve_device(options.device)
    expert = registry.load_expert(options.expert).to(device)
    splits = {split: list(clips) for split, clips in corpus(options.data, expert.size).items() if split in SPLITS}
    if options.model_path is not None:
        judged(options, expert, splits, device)
        return
    if isinstance(expert, SyncExpert):
        print("| split | clips | against one | nearest of 8 | loss |\n|---|---|---|---|---|")
        for split, clips in splits.items():
            print(accuracy(expert, clips, split))
    print("\n| split | clips | own offset within 1 frame | shift found | within 1 frame |\n|---|---|---|---|---|")
    for split, clips in splits.items():
        print(shifts(expert, some(clips, options.clips or 40), split))


if __name__ == "__main__":
    sys.exit(exit_code(main))
