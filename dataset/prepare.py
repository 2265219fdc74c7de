"""Face crops framed like VoxCeleb2's -> a prepared folder for train.py.

    python -m dataset.prepare --list clips.csv --output DIR [--size 128] [--workers 2]

The list is a CSV with the columns file (relative to the list), split and speaker.  Clips that are there already are
skipped, so the same command goes on after an interruption; clips that cannot be read are named and left out.
"""

import argparse
import csv
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audio import read_mel
from errors import BadInput, BatchFailed, LipSyncError
from face_detection.box import voxceleb2_box
from face_detection.cropping import cut
from video import probe, read_frames

from .clip import Clip
from .prepared import save_clip


@dataclass(frozen=True)
class Source:
    """One video of the list and where its prepared clip goes."""

    video: Path
    speaker: str
    target: Path


def sources(listing: Path, output: Path) -> list[Source]:
    """The rows of a list.  Raises BadInput if it lacks a value, or two rows would become the same clip."""
    try:
        with listing.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as problem:
        raise BadInput(f"{listing}: not a readable list ({problem}); pass a CSV file with --list") from problem
    if not rows or not all(row.get(column) for row in rows for column in ("file", "split", "speaker")):
        raise BadInput(f"{listing}: needs at least one row, and file, split and speaker in every one")
    found = [
        Source(
            listing.parent / row["file"],
            row["speaker"],
            output / row["split"] / row["speaker"] / (Path(row["file"]).stem + ".npz"),
        )
        for row in rows
    ]
    owners: dict[Path, Path] = {}
    for source in found:
        other = owners.setdefault(source.target, source.video)
        if other != source.video:
            raise BadInput(f"{listing}: {other} and {source.video} would both become {source.target}; rename one")
    return found


def prepare(source: Source, size: int) -> None:
    """Decodes, cuts by the VoxCeleb2 margins, resizes to size x size, and writes the clip."""
    info = probe(source.video)
    box = voxceleb2_box(info.height, info.width)
    faces = np.stack([cut(frame, box, size) for frame in read_frames(source.video)])
    save_clip(source.target, Clip(source.video.stem, source.speaker, faces, read_mel(source.video), info.fps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", type=Path, required=True, metavar="CSV")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    todo = [source for source in sources(arguments.list, arguments.output) if not source.target.exists()]
    failures = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        jobs = {pool.submit(prepare, source, arguments.size): source for source in todo}
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="clip", disable=None):
            try:
                job.result()
            except LipSyncError as problem:
                failures.append(str(problem))
    if failures:
        raise BatchFailed(f"{len(failures)} of {len(todo)} clips left out: " + "; ".join(failures))


if __name__ == "__main__":
    try:
        main()
    except LipSyncError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(problem.exit_code)
