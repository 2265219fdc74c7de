"""What training data is: its layout, speakers, minutes, broken files, speed, and whether sound and picture are in sync.

    python -m dataset.check DATA [--sheet sheet.png]

DATA is whatever train.py reads.  Of more than --clips so many are opened, spread evenly, and minutes are estimated.
Clips that have no room for 5 frames in a row and a reference are short: most trainings pass them over.  Sync is judged
by a sync expert, of up to --sync_clips clips; it says nothing where it does not know the clips' own sound from that of
others.  The sheet shows one face of each speaker, as a network sees it.
Exit codes: 0; 2 if it is no data; 5 if files are broken, which are named.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads and torch's would fight over the cores

import argparse
import logging
import math
import sys
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from audio import Mel
from core.errors import BadInput, BadValue, BatchFailed, LipSyncError, NoData
from core.flags import Parser
from core.guard import guard, reads, writes
from core.paths import CHECKPOINTS
from core.program import exit_code
from dataset.checking import NAMED, ClipChecks, Everything, Sync, Tally, faces_per_second, shown, spread, sync_of
from dataset.contact_sheet import contact_sheet
from dataset.layout import PACK, Layout, layout_of
from dataset.sync_filter import Offset
from video import write_picture

EXPERT = CHECKPOINTS / "sync.safetensors"
SIZE = 128
SHOWN = 48  # faces on a sheet
FAR = 2  # frames of offset from which on a clip is named


def parser() -> argparse.ArgumentParser:
    flags = Parser(__doc__)
    flags.add_argument("data", type=reads, metavar="DATA")
    flags.add_argument("--sheet", type=writes, metavar="PNG", help="contact sheet to write")
    flags.add_argument("--size", type=int, default=0, help="pixels of a face (128, or what prepared clips have)")
    flags.add_argument("--clips", type=int, default=2000, metavar="N", help="clips to open (default 2000); 0: all")
    flags.add_argument("--workers", type=int, default=0, help="processes that open clips; 0: this one (default)")
    flags.add_argument("--seconds", type=float, default=5.0, help="for which the loader is timed (default 5); 0: not")
    flags.add_argument("--expert", type=reads, default=EXPERT, help="sync expert (default: the one that ships)")
    flags.add_argument("--sync_clips", "--sync-clips", type=int, default=40, metavar="N",
                       help="clips whose sound is judged (default 40); 0: none")  # fmt: skip
    return flags


def run(options: argparse.Namespace) -> None:
    """The program.  Raises BatchFailed at the end if clips cannot be used."""
    least = min(options.clips, options.workers, options.sync_clips)
    if least < 0 or not 0 <= options.seconds < math.inf or 0 != options.size < 8:
        raise BadValue("--clips, --workers, --seconds and --sync_clips are 0 or more, --size 8 or more; correct them")
    if options.sync_clips and options.expert != EXPERT:
        from systems.registry import load_expert

        load_expert(options.expert)  # one that was asked for is refused before any work, ours may be missing
    layout = layout_of(options.data)
    size = options.size or (0 if layout.sized else SIZE)
    clips = Everything(layout.read(options.data, size))
    if not clips:
        raise NoData(f"{options.data}: looks like {layout.name}, but no clip is in it; check the path")
    print(f"{options.data}: {layout.name} ({layout.looks})")
    on_sheet = shown(clips, SHOWN)
    tally, faces = _opened(clips, on_sheet, options)
    _say_amounts(clips, tally)
    print(f"loader     {_loaded(layout, clips, options)}")
    print(f"sync       {_in_sync(layout, on_sheet, options)}")
    if options.sheet is not None:
        _write_sheet(options.sheet, faces)
    if tally.broken:
        raise BatchFailed(
            f"{options.data}: {tally.broken} of {tally.opened.total()} clips opened cannot be used; fetch or make them"
            " again, or take them away (training passes them over)"
        )


def _opened(
    clips: Everything, on_sheet: Sequence[int], options: argparse.Namespace
) -> tuple[Tally, list[tuple[str, NDArray[np.uint8]]]]:
    """Opens clips and names what is broken; the faces of those for the sheet."""
    numbers = range(len(clips)) if not options.clips else spread(range(len(clips)), options.clips)
    numbers = sorted({*numbers, *on_sheet})
    tally, faces, positions = Tally(), [], set(on_sheet)
    checks = ClipChecks(clips, numbers).all(options.workers)
    for number, checked in zip(numbers, tqdm(checks, total=len(numbers), unit="clip", disable=None), strict=True):
        tally.add(checked)
        if checked.problem is not None:
            tqdm.write(f"broken     {checked.problem}", file=sys.stdout)
        elif number in positions and checked.face is not None:
            faces.append((checked.speaker, checked.face))
    return tally, faces


def _say_amounts(clips: Everything, tally: Tally) -> None:
    print("split      speakers      clips   opened    minutes")
    for split, own in clips.splits.items():
        speakers = len({clip.speaker for clip in own})
        minutes = tally.seconds[split] / 60
        sampled = tally.opened[split] < len(own)
        total = minutes * len(own) / max(tally.opened[split], 1)
        figure = f"about {total:,.0f}" if sampled else f"{total:,.1f}"
        print(f"{split:8} {speakers:10,} {len(own):10,} {tally.opened[split]:8,} {figure:>10}")
    print(f"faces      {_counted(tally.sizes, 'px')}")
    print(f"rates      {_counted(Counter({_rate(fps): count for fps, count in tally.rates.items()}), 'fps')}")
    print(f"silent     {tally.silent}\nshort      {tally.short}\nbroken     {tally.broken:,}")


def _rate(fps: Fraction) -> str:
    return str(fps) if fps.denominator == 1 else f"{float(fps):.3f}"


def _counted(counter: Counter[str] | Counter[int], unit: str) -> str:
    """Kinds with how many there are of each, most first."""
    total = counter.total()
    shares = ((kind, count / total) for kind, count in counter.most_common(6))
    kinds = [f"{kind} {unit} ({f'{share:.0%}' if share >= 0.005 else '< 1 %'})" for kind, share in shares]
    return ", ".join(kinds) + (" and others" if len(counter) > len(kinds) else "") if kinds else "none"


def _loaded(layout: Layout, clips: Everything, options: argparse.Namespace) -> str:
    if not options.seconds:
        return "not measured (--seconds 0)"
    if layout is PACK:
        return "not measured: a pack is drawn from the memory of the device (scripts/benchmark_training.py --data)"
    most = max(clips.splits.values(), key=len)
    notes = logging.getLogger("dataset.sampling")
    before = notes.level
    notes.setLevel(logging.ERROR)  # what is broken was said
    try:
        rate = faces_per_second(most, options.workers, options.seconds)
    except BadInput as problem:
        return f"not measured: {problem}"
    finally:
        notes.setLevel(before)
    who = f"{options.workers} workers" if options.workers else "one process"
    return f"{rate:,.0f} faces/s by {who}, in windows of 5 frames and a reference"


def _in_sync(layout: Layout, numbers: Sequence[int], options: argparse.Namespace) -> str:
    if not options.sync_clips:
        return "not measured (--sync_clips 0)"
    from systems.registry import load_expert
    from systems.sync import find_offset

    try:
        expert = load_expert(options.expert)
        clips = Everything(layout.read(options.data, expert.size))

        def score(faces: NDArray[np.uint8], mel: Mel, fps: Fraction) -> Offset:
            offset = find_offset(expert, faces, mel, fps)
            return Offset(offset.frames, offset.confidence)

        sampled = spread(numbers, options.sync_clips)
        bar = tqdm(sampled, desc="sync", unit="clip", disable=None)
        return _said(sync_of((clips[number][1] for number in bar), score))
    except LipSyncError as problem:
        return f"not measured: {problem}"


def _said(sync: Sync) -> str:
    frames = sync.frames[sync.sure]
    lines = [
        f"of {len(sync.names)} clips {sync.told:.0%} agree better with their own sound than with another's; confidence"
        f" {np.median(sync.confidence):.3f}, with another's {np.median(sync.foreign):.3f} (medians)"
    ]
    if frames.size:
        lines.append(
            f"of {frames.size} whose offset is sure {(np.abs(frames) <= 1).mean():.0%} are within 1 frame; median"
            f" {np.median(frames):+.0f} (above 0: the sound is late)"
        )
    far = sorted((-abs(n), name, n) for n, name in zip(frames, np.array(sync.names)[sync.sure], strict=True))
    lines += [f"{name}: {n:+.0f} frames" for distance, name, n in far[:NAMED] if -distance > FAR]
    return "\n           ".join(lines)


def _write_sheet(path: Path, faces: Sequence[tuple[str, NDArray[np.uint8]]]) -> None:
    if not faces:
        print("sheet      not written: no clip can be used")
        return
    write_picture(path, contact_sheet(faces))
    print(f"sheet      {path}")


def main(args: Sequence[str] | None = None) -> int:
    flags = parser()
    options = flags.parse_args(args)

    def work() -> None:
        guard(flags, options)
        run(options)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
