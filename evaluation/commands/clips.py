"""What generate.py makes of every video in a folder: a row each, in which what is odd stands out."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from audio import Waveform, read_sound
from core.atomic import save_atomically
from core.errors import BatchFailed, NoData, NotFound
from core.jsonl import as_lines
from dataset.folders import VIDEO_SUFFIXES, files
from lipsync.cli.main import generate
from lipsync.jobs.manifest import Manifest, ManifestEntry
from video import probe

from ..report.tables import markdown

LIST = "clips"
SPAN = 4.0      # seconds at the end of a sound that are compared
FURTHEST = 0.5  # seconds that a sound may be early or late
ALIKE = 0.5     # correlation from which on two sounds count as the same


def run(options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Makes the results and prints the table.  Returns generate.py's exit code."""
    folder = options.sample_path
    with TemporaryDirectory(prefix="lip-sync-") as place:
        listing = Path(place) / f"{LIST}.jsonl"
        wanted = write_list(listing, options.videos, options.audio)
        code = generate(
            ["--filelist", str(listing), "--sample_path", str(folder), "--length", "video", "--no_cache", *flags]
        )
    if code in (0, BatchFailed.exit_code):
        print(table([line for line in Manifest(folder, LIST).read().values() if line.video in wanted], folder))
    return code


def lag(given: Waveform, heard: Waveform) -> float | None:
    """Seconds by which `heard` is behind `given` at their common end; None if one cannot be found in the other.

    The peak of their cross-correlation, to one sample.  ValueError if their rates differ.
    """
    if given.rate != heard.rate:
        raise ValueError(f"sounds of {given.rate} and {heard.rate} samples a second cannot be compared")
    stop, reach = min(len(given.samples), len(heard.samples)), round(FURTHEST * given.rate)
    one, two = (sound.samples[max(0, stop - round(SPAN * sound.rate)) : stop] for sound in (given, heard))
    size = len(one) + 2 * reach
    product = np.fft.irfft(np.fft.rfft(two, size) * np.fft.rfft(one, size).conj(), size)
    shifts = np.arange(-reach, reach + 1)
    best = int(shifts[product[shifts].argmax()])
    loudness = float(np.linalg.norm(one) * np.linalg.norm(two))
    return best / given.rate if product[best] > ALIKE * loudness else None


def table(lines: Sequence[ManifestEntry], folder: Path) -> str:
    """Markdown: a row per result of `folder` that was made, and below it why others were not."""
    results = [line for line in lines if not line.error]
    stages = list(dict.fromkeys(stage for line in results for stage in line.report["seconds"]))
    header = ["video", "size", "fps", "in", "out", "edited", "no face in", "cuts", *(f"{stage}, s" for stage in stages)]
    rows = [[*_frames(line, folder), *_seconds(line, stages), _late(line, folder)] for line in results]
    failed = [f"{Path(line.video).name}: {line.error}" for line in lines if line.error]
    return "\n".join([markdown([*header, "sound late, ms"], rows), *failed])


def _frames(line: ManifestEntry, folder: Path) -> list[str]:
    before, after, report = probe(Path(line.video)), probe(folder / line.output), line.report
    missing = ", ".join(f"{first}..{last}" for first, last in report["missing"])
    return [
        before.path.name, f"{before.width}x{before.height}", f"{float(before.fps):.3f}", str(before.frames),
        str(after.frames), str(report["edited"]), missing, str(report["shots"] - 1),
    ]  # fmt: skip


def _seconds(line: ManifestEntry, stages: Sequence[str]) -> list[str]:
    spent = line.report["seconds"]
    return [f"{spent[stage]:.1f}" if stage in spent else "" for stage in stages]


def _late(line: ManifestEntry, folder: Path) -> str:
    words = read_sound(Path(line.audio or line.video))
    late = lag(words, read_sound(folder / line.output))
    if late is None:
        return "?" if words.samples.any() else "silent"
    return f"{1000 * late:+.1f}"


def write_list(path: Path, videos: Path, audio: Path | None) -> list[str]:
    """The list of all videos in a folder, and which these are.  BadInput if there is none."""
    if not videos.is_dir():
        raise NotFound(f"{videos}: is no folder; name one that holds videos")
    names = files(videos, VIDEO_SUFFIXES)
    if not names:
        raise NoData(f"{videos}: holds no video; give a folder of mp4, mov, mkv, webm, avi or mpg files")
    paths = [(videos / name).absolute() for name in names]
    rows = [{"video": str(video), "audio": str((audio or video).absolute())} for video in paths]
    save_atomically(path, lambda temporary: temporary.write_text(as_lines(rows), encoding="ascii"))
    return [row["video"] for row in rows]
