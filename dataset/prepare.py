"""Videos -> a prepared folder for train.py: split/speaker/name.npz, and report.jsonl, which says what became of each.

    python -m dataset.prepare --videos FOLDER --output DIR     any videos, however deep; a folder a speaker
    python -m dataset.prepare --list clips.csv --output DIR    face crops framed like VoxCeleb2's: one clip each

Any videos are cut at their shots; every stretch that shows one large enough face for long enough becomes a clip of 25
frames per second, or several of at most 20 seconds.  The list is a CSV with the columns file (relative to the list),
split (train, seen or test) and speaker.  What is there already is skipped, so the same command goes on after an
interruption; videos that cannot be read are named and left out, and the exit code is 5.  It is 2 where no video gives
a clip.
"""

import argparse
import hashlib
import logging
import math
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

import cv2
from tqdm import tqdm

from core.errors import BadValue, BatchFailed, LipSyncError, NoData, OutOfMemory
from core.flags import Parser
from core.guard import check, reads, writes_into
from core.lock import locked
from core.program import GOES_ON, exit_code
from core.progress import say
from face_detection import NAMES, load_detector
from video.opening import one_thread_each

from .cutting import Cutting, prepare_source
from .report import REPORT, Line, Report, Settings, read_report
from .source import Source, found, listed
from .span import Least
from .splits import SPLITS, place
from .sync_filter import Scorer, SyncFilter

NOTES = logging.getLogger(__name__)
Outcome = tuple[Source, "list[Line] | LipSyncError"]
MAKING = ("size", "expert", "max_offset", "min_confidence")
"""The flags that decide how a clip is made, here and in scripts/prepare.py."""
FINDING = ("held_out", "face_detector", "min_seconds", "min_face")
"""Those that decide which stretches of --videos become clips, and where they go."""


def prepare(
    sources: Sequence[Source], report: Report, cutting: Cutting, *, workers: int = 0, scorer: Scorer | None = None
) -> None:
    """Makes the clips of all sources, in so many processes besides this one, or in this one if 0.

    Raises BatchFailed, after all the others are done, if some could not be used.
    """
    todo = [source for source in sources if not _is_done(source, report)]
    if any(not source.framed for source in todo):
        load_detector(cutting.detector)  # what is to be fetched is fetched once, and refused at once
    failures = []
    outcomes = _in_processes(todo, cutting, scorer, workers) if workers else _here(todo, cutting, scorer)
    for source, outcome in tqdm(outcomes, total=len(todo), unit="video", disable=None):
        if isinstance(outcome, LipSyncError):
            report.fail(source.name, str(outcome))
            failures.append(str(outcome))
        else:
            report.finish(source.name, outcome)
    if failures:
        raise BatchFailed(f"{len(failures)} of {len(todo)} videos left out: " + "; ".join(failures))


def _is_done(source: Source, report: Report) -> bool:
    return source.name in report.finished or (source.framed and source.target.exists())


def _here(sources: Sequence[Source], cutting: Cutting, scorer: Scorer | None) -> Iterator[Outcome]:
    for source in sources:
        try:
            yield source, prepare_source(source, cutting, scorer)
        except LipSyncError as problem:
            yield source, problem


def _in_processes(
    sources: Sequence[Source], cutting: Cutting, scorer: Scorer | None, workers: int
) -> Iterator[Outcome]:
    """A process is given a video when it is free: whoever stops this waits for those at work, not for all the rest."""
    fresh = multiprocessing.get_context("spawn")  # a fork of a process that has threads may hang
    left = iter(sources)
    running: dict[Future[list[Line]], Source] = {}
    with one_thread_each(), ProcessPoolExecutor(workers, fresh, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        try:
            while True:
                for source in islice(left, workers - len(running)):
                    running[pool.submit(prepare_source, source, cutting, scorer)] = source
                if not running:
                    return
                for job in wait(running, return_when=FIRST_COMPLETED).done:
                    try:
                        outcome: list[Line] | LipSyncError = job.result()
                    except LipSyncError as problem:
                        outcome = problem
                    yield running.pop(job), outcome
        except BrokenProcessPool as problem:
            died = next(iter(running.values()), source)
            raise OutOfMemory(
                f"a process died while it prepared {died.video}, most likely for lack of memory; the same command goes"
                " on, with fewer --workers"
            ) from problem


def parser(about: str | None = __doc__) -> argparse.ArgumentParser:
    """What `run` understands.  about: what --help says first."""
    flags = Parser(about)
    what = flags.add_mutually_exclusive_group(required=True)
    what.add_argument("--videos", type=reads, metavar="FOLDER")
    what.add_argument("--list", type=reads, metavar="CSV")
    flags.add_argument("--output", type=writes_into, required=True, metavar="DIR")
    flags.add_argument("--size", type=int, default=128, help="pixels of a face (default 128)")
    flags.add_argument("--workers", type=int, default=2, help="processes (default 2); 0: this one")
    flags.add_argument("--face_detector", choices=NAMES, default="auto")
    flags.add_argument("--held_out", type=float, default=0.0, metavar="SHARE",
                       help="share of the speakers of --videos that becomes the split test (default 0)")  # fmt: skip
    flags.add_argument("--min_seconds", type=float, default=Least.seconds,
                       help="shortest clip (default 1)")  # fmt: skip
    flags.add_argument("--min_face", type=float, default=Least.face, metavar="PIXELS",
                       help="lowest face, from forehead to chin (default 96)")  # fmt: skip
    return flags


def misheld(sources: Sequence[Source], share: float) -> str | None:
    """What a user should know who wants people held out, and holds out nobody, or everybody; else None."""
    places = sorted({source.speaker: place(source.speaker) for source in sources}.values())
    out = sum(position < share for position in places)
    if not share or 0 < out < len(places):
        return None
    people = f"{len(places)} speaker{'' if len(places) == 1 else 's'}"
    if len(places) == 1:
        return f"--held_out {share:g}: there is one speaker, who is {'held out' if out else 'trained on'}"
    if not out:
        least = math.floor(places[0] * 1000 + 1) / 1000
        return f"--held_out {share:g}: holds out none of the {people}; --held_out {least:g} holds out the first of them"
    most = math.floor(places[-1] * 1000) / 1000
    return f"--held_out {share:g}: holds out all {people}, none is left to train on; --held_out {most:g} leaves one"


def _left_out(report: Path) -> str:
    """How many stretches of the videos became no clips, and the most frequent reason."""
    reasons = Counter(str(line["skipped"]) for line in read_report(report) if line.get("skipped"))
    if not reasons:
        return ""
    ending = "" if reasons.total() == 1 else "es"
    return f", {reasons.total()} stretch{ending} left out, such as for this: {reasons.most_common(1)[0][0]}"


def _settings(options: argparse.Namespace) -> Settings:
    """What the report remembers; of a file, its name and a hash of what is in it."""
    given = {name: getattr(options, name, None) for name in (MAKING if options.list else (*MAKING, *FINDING))}
    return {name: _fingerprint(value) if isinstance(value, Path) else value for name, value in given.items()}


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return f"{path.name} ({hashlib.file_digest(file, 'sha256').hexdigest()[:8]})"


def run(options: argparse.Namespace, *, sync: SyncFilter | None = None, scorer: Scorer | None = None) -> None:
    """The program, with somebody who can tell how far the sound is off, or without.

    Raises as `prepare`, and BadInput if --output is what is read, holds clips that were made with other settings, or
    has no clip in the end.
    """
    try:
        cutting = Cutting(
            options.size, options.face_detector, Least(options.min_seconds, options.min_face), sync or SyncFilter()
        )
    except ValueError as problem:
        raise BadValue(f"--size, --min_seconds or --min_face: {problem}") from problem
    if not 0 <= options.held_out < 1:
        raise BadValue(f"--held_out {options.held_out}: is a share of the speakers, 0 or more and below 1")
    if options.workers < 0:
        raise BadValue(f"--workers {options.workers}: give 0 or more processes")
    what = "--videos" if options.list is None else "--list"
    check([(what, options.list or options.videos)], [("--output", options.output)])
    if options.list is not None:
        sources = listed(options.list, options.output)
    else:
        sources = found(options.videos, options.output, options.held_out)
        if sentence := misheld(sources, options.held_out):
            say(sentence)
    read = [(what, options.list or options.videos), *(("the video", source.video) for source in sources)]
    written = [("the clip", source.target) for source in sources if source.framed]
    check(read, [("the report", options.output / REPORT), *written])
    with locked(options.output / ".lock", options.output):
        report = Report(options.output, _settings(options))
        prepare(sources, report, cutting, workers=options.workers, scorer=scorer)
    counts = {split: sum(1 for _ in (options.output / split).glob("*/*.npz")) for split in SPLITS}
    totals = ", ".join(f"{count} clips {split}" for split, count in counts.items() if count)
    totals = f"{totals or 'no clips'}{_left_out(report.path)}"
    if not any(counts.values()):
        raise NoData(f"{options.output}: {totals}; give other videos, or change the flags that leave these out"
                     f" ({report.path} says what became of each)")  # fmt: skip
    say(f"{options.output}: {totals}; {report.path} says what became of each video")
    if counts["train"]:
        say(f"next: python train.py --system sync --data {options.output} --output runs/sync")


if __name__ == "__main__":
    sys.exit(exit_code(lambda: run(parser().parse_args()), stopped=GOES_ON))
