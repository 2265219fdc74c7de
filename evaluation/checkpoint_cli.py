"""The program python -m evaluation checkpoint: one checkpoint, what it makes of people held out, one table."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadInput, BatchFailed
from core.guard import guard, reads, writes_into
from core.program import exit_code
from lipsync.cli.flags import Parser

if TYPE_CHECKING:
    from .held_out import Pair

DESCRIPTION = """The figures of lips of one checkpoint, on people and videos that it was not trained on.

    python -m evaluation checkpoint --model_path FILE --list clips.csv --full videos --speech sounds --output report

LIST is a CSV with the columns file, split (test, seen) and speaker, of face crops framed like VoxCeleb2's.  All results
are made by generate.py's own pipeline; flags unknown here are passed on to it.  The same command goes on where it
stopped.  In OUTPUT: table.md, results/, scores/, and sheets/ of source, result and both mouths enlarged."""


def main(args: Sequence[str]) -> int:
    """Returns the exit code: 0, or 5 if some pairs have no figures; the table of the others is complete then."""
    known = parser()
    options, flags = known.parse_known_args(args)

    def guarded() -> None:
        guard(known, options)
        run(options, flags)

    return exit_code(guarded)


def parser() -> Parser:
    """All flags but generate.py's."""
    p = Parser(
        prog="python -m evaluation checkpoint", description=DESCRIPTION, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("--model_path", type=reads, required=True, metavar="FILE",
                   help="a checkpoint, or a style model's folder")
    p.add_argument("--list", type=reads, metavar="CSV", help="face crops of the splits test and seen")
    p.add_argument("--full", type=reads, metavar="DIR", help="whole videos")
    p.add_argument("--speech", type=reads, metavar="DIR", help="recordings for the videos of the split test to say")
    p.add_argument("-o", "--output", type=writes_into, required=True, metavar="DIR",
                   help="where the table and all else goes")
    p.add_argument("--clips", type=int, nargs="+", default=[0], metavar="N",
                   help="at most so many clips: one number for test, seen and full each, or up to three; 0 is all")
    p.add_argument("--frames", type=int, default=750, metavar="N",
                   help="edited and measured of each, at 25 a second (%(default)s)")
    p.add_argument("--speeches", type=int, default=3, metavar="N", help="recordings for each video (%(default)s)")
    p.add_argument("--weights", type=reads, nargs="+", default=[], metavar="DIR",
                   help="more folders with face_landmarker.task, beside checkpoints/ and torch's cache")
    p.add_argument("--mediapipe_python", type=reads, default=Path(sys.executable), metavar="FILE",
                   help="the python of an environment that has mediapipe, which does not live beside our OpenCV")
    p.add_argument("--face_detector", default="auto", metavar="NAME", help="as for generate.py (%(default)s)")
    return p  # fmt: skip


def run(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Makes what is missing, measures it, writes table.md and prints it.

    Raises BadInput, and BatchFailed, after that, if some pairs have no figures.
    """
    from face_detection import load_detector

    from .clip import Eyes
    from .lip_points import POINTS, LipPoints
    from .lip_table import as_table
    from .mediapipe_client import MediaPipe
    from .pair_scores import CROPS, VIDEOS, PairScores, frames_of, make_results, measure
    from .weights import Shelf

    pairs = _pairs(options)
    frames = frames_of(Fraction(options.frames, 25))
    with ExitStack() as stack:
        landmarker = MediaPipe(options.mediapipe_python, Shelf(options.weights).locate("mediapipe"), POINTS)
        points = LipPoints(stack.enter_context(landmarker), options.output / "points")
        detector = load_detector(options.face_detector) if options.full else None
        eyes = {protocol: Eyes(protocol, detector, None, points, frames) for protocol in (CROPS, VIDEOS)}
        make_results(pairs, options.output, options.model_path, ["--face_detector", options.face_detector, *flags])
        found = list(measure(pairs, options.output, eyes))
    scores = [one for one in found if isinstance(one, PairScores)]
    problems = [one for one in found if isinstance(one, str)]
    if not scores:
        raise BadInput(f"{options.output}: nothing could be measured: {problems[0]}")
    table = as_table(scores)
    (options.output / "table.md").write_text(table, encoding="utf-8")
    print(table)
    print(options.output / "sheets")
    if problems:
        raise BatchFailed(f"{len(problems)} of {len(found)} pairs are in no figure: {'; '.join(problems[:5])}")


def _pairs(options: argparse.Namespace) -> list["Pair"]:
    from .held_out import of_split, of_videos, recordings

    if options.list is None and options.full is None:
        raise BadInput("there is nothing to say it with; pass --list, --full, or both")
    if options.frames < 25 or options.speeches < 0 or len(options.clips) > 3 or min(options.clips) < 0:
        raise BadInput("--frames is at least 25, --speeches and --clips at least 0, --clips up to three numbers")
    test, seen, full = (options.clips + [options.clips[-1]] * 2)[:3]
    seconds, speech = Fraction(options.frames, 25), recordings(options.speech)
    pairs = []
    if options.list is not None:
        pairs += of_split(options.list, "test", test, seconds, speech, options.speeches)
        pairs += of_split(options.list, "seen", seen, seconds, [], 0)
    if options.full is not None:
        pairs += of_videos(options.full, full, seconds, speech)
    return pairs
