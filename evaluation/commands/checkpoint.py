"""One checkpoint, what it makes of people held out, one table of the figures of lips."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction

from core.atomic import atomic
from core.errors import BadInput, BadValue, BatchFailed
from face_detection import load_detector
from face_detection.mediapipe_client import MediaPipe

from ..clip import FaceFinders
from ..held_out import Pair, of_split, of_videos, recordings
from ..metrics.lip_points import POINTS, LipPoints
from ..pair_scores import CROPS, VIDEOS, PairScores, frames_of, make_results, measure
from ..report.lip_table import as_table
from ..weights import WeightStore


def run(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Makes what is missing, measures it, writes table.md and prints it.

    Raises BadInput, and BatchFailed, after that, if some pairs have no figures.
    """
    pairs = _pairs(options)
    frames = frames_of(Fraction(options.frames, 25))
    with ExitStack() as stack:
        landmarker = MediaPipe(options.mediapipe_python, WeightStore(options.weights).locate("mediapipe"), POINTS)
        points = LipPoints(stack.enter_context(landmarker), options.output / "points")
        detector = load_detector(options.face_detector) if options.full else None
        finders = {protocol: FaceFinders(protocol, detector, None, points, frames) for protocol in (CROPS, VIDEOS)}
        make_results(pairs, options.output, options.model_path, ["--face_detector", options.face_detector, *flags])
        rows = list(measure(pairs, options.output, finders))
    scores = [one for one in rows if isinstance(one, PairScores)]
    problems = [one for one in rows if isinstance(one, str)]
    if not scores:
        raise BadInput(f"{options.output}: nothing could be measured: {problems[0]}")
    table = as_table(scores)
    with atomic(options.output / "table.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    print(table)
    print(options.output / "sheets")
    if problems:
        raise BatchFailed(f"{len(problems)} of {len(rows)} pairs are in no figure: {'; '.join(problems[:5])}")


def _pairs(options: argparse.Namespace) -> list[Pair]:
    if options.list is None and options.full is None:
        raise BadValue("there is nothing to say it with; pass --list, --full, or both")
    if options.frames < 25 or options.speeches < 0 or len(options.clips) > 3 or min(options.clips) < 0:
        raise BadValue("--frames is at least 25, --speeches and --clips at least 0, --clips up to three numbers")
    test, val, full = (options.clips + [options.clips[-1]] * 2)[:3]
    seconds, speech = Fraction(options.frames, 25), recordings(options.speech)
    pairs = []
    if options.list is not None:
        pairs += of_split(options.list, "test", test, seconds, speech, options.speeches)
        pairs += of_split(options.list, "seen", val, seconds, [], 0)
    if options.full is not None:
        pairs += of_videos(options.full, full, seconds, speech)
    return pairs
