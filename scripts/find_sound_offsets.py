"""Finds how late the sound of each clip of a pack comes, so that what trains on it hears it in time.

    python scripts/find_sound_offsets.py --data PACK [--motion checkpoints/style-medium]
        [--in_sync 'GRID*' 'LRS3*' ...]

Stage 1 of --motion predicts the lips from the sound; where its prediction fits best the motion that the pack is
labelled with, there the sound belongs (systems/style/sound_offset.py).  PACK/sound_offsets.csv has a line a clip: clip
(SPLIT/SPEAKER/NAME), late (seconds; below 0 the sound is early), deviation (of what is likely, seconds) and correlation
(of the movements).  It replaces the one that is there; without it sounds are heard as they are.  A clip that says
little is taken for as late as the others are on the mean.

Speakers whose names fit a pattern of --in_sync are known to be in time: theirs is 0, and what the model finds on the
mean of them is its own lateness, which is taken off all others.  Trained anew on sound that is in time, stage 1 finds
the offsets better: find them twice.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core  # noqa: F401 - how threads behave is said before anything that reads it

# isort: split
import numpy as np
import torch
from tqdm import tqdm

from core.atomic import atomic
from core.errors import Mismatch, NoData
from core.flags import Parser
from core.guard import guard, reads, writes_into
from core.program import exit_code
from dataset import PackClip
from dataset.pack import SOUND_OFFSETS, clip_name, is_pack
from systems.registry import load_motion
from systems.style import LipMotion, labelled
from systems.style.labels import LabelledClip
from systems.style.motion_progress import hearing
from systems.style.sound_offset import LEAST, Fits, SoundOffset, compare, sound_offsets

FINEST = 0.005  # seconds: no offset is known better, whatever its deviation


@torch.inference_mode()
def compared(model: LipMotion, clips: Sequence[LabelledClip]) -> list[Fits]:
    """Each clip with its sound as it is in its file."""
    hear = hearing(model, torch.float32)
    fits = []
    for clip in tqdm(clips, desc="offsets", unit="clip", disable=None):
        moves = clip.moves
        fits.append(compare(model.space, model.predictor.predict(hear(clip), None, neutral=moves.mean(dim=0)), moves))
    return fits


def lateness(offsets: Sequence[SoundOffset]) -> float:
    """What the model says on the mean of clips that are in time, seconds; surer ones count more."""
    if not offsets:
        return 0.0
    weights = [1 / (offset.deviation**2 + FINEST**2) for offset in offsets]
    return float(np.average([offset.seconds for offset in offsets], weights=weights))


def run(options: argparse.Namespace) -> None:
    """Raises BadInput if there is no pack, it is labelled in another space, or nobody fits --in_sync."""
    if not is_pack(options.data):
        raise NoData(f"{options.data}: is no pack; make one with scripts/pack_training.py")
    model = load_motion(options.motion)
    if not isinstance(model, LipMotion):
        raise Mismatch(f"{options.motion}: its stage 1 is none of ours; pass a checkpoint of the style system")
    splits = labelled(options.data, model.size, model.space)
    clips = [
        replace(clip, clip=replace(clip.clip, late=0.0))
        for split in splits.values() for clip in split
        if isinstance(clip.clip, PackClip) and len(clip.moves) >= LEAST
    ]  # fmt: skip
    in_sync = [any(fnmatch(clip.speaker, pattern) for pattern in options.in_sync) for clip in clips]
    if options.in_sync and not any(in_sync):
        raise NoData(f"--in_sync {' '.join(options.in_sync)}: no speaker of {options.data} is called so")
    fits = compared(model, clips)
    timed, others = ([k for k, known in enumerate(in_sync) if known is of] for of in (True, False))
    found = {
        number: offset for group in (timed, others)
        for number, offset in zip(group, sound_offsets([fits[k] for k in group]), strict=True)
    }  # fmt: skip
    own = lateness([found[k] for k in timed])
    late = {k: 0.0 if in_sync[k] else found[k].seconds - own for k in found}
    path = options.data / SOUND_OFFSETS
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "late", "deviation", "correlation"])
        for k, clip in enumerate(clips):
            assert isinstance(clip.clip, PackClip)
            numbers = late[k], found[k].deviation, found[k].correlation
            rows.writerow([clip_name(clip.clip.path), *(f"{number:.3f}" for number in numbers)])
    if timed:
        print(f"in time: {len(timed)} clips, to the model {own:+.3f} s late on the mean; taken off the others")
    if others:
        low, middle, high = np.percentile([late[k] for k in others], [5, 50, 95])
        print(f"others: {len(others)} clips, late by {low:+.3f} to {high:+.3f} s (nine tenths), median {middle:+.3f}")
    print(path)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=writes_into, required=True, metavar="PACK")
    parser.add_argument("--motion", type=reads, default=Path("checkpoints/style-medium"), help="stage 1 that judges")
    parser.add_argument("--in_sync", nargs="+", default=[], metavar="PATTERN", help="names of speakers, * for any rest")
    options = parser.parse_args()
    guard(parser, options)
    run(options)


if __name__ == "__main__":
    sys.exit(exit_code(main))
