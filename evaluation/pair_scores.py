"""Pairs -> results by the product's own pipeline -> figures of lips and sheets, all kept on disk to go on from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tqdm import tqdm

from core.atomic import atomic
from core.errors import BadInput, BatchFailed
from core.jsonl import as_lines
from lipsync.cli.main import generate
from systems import registry
from video import probe

from .cases import Case
from .clip import Clip, ClipError, FaceFinders, load
from .framing import is_detected
from .held_out import FULL, Pair
from .metrics.lips import LAGS, MEASURES, envelope
from .protocol import Protocol
from .report.results import PASTED, REAL, RESULT
from .report.sheet import contact_sheet
from .video_sample import FPS, VideoSample

VERSION = 2
"""Raised whenever the same result would get other figures."""
CURVE = "lip envelope, curve"
SETTING = {"own": "reconstruction", "wrong": "cross", "speech": "cross"}
CROPS = Protocol("held-out", "reconstruction", "voxceleb2", 128, "face crops framed like VoxCeleb2's")
VIDEOS = Protocol("held-out-full", "reconstruction", "picture", 128, "whole pictures")
SHEET_SIDE = 160  # px of each picture on a sheet

Values = Mapping[str, float | list[float] | None]


@dataclass(frozen=True)
class PairScores:
    """The figures of one pair.  values: subject -> figure of lips -> value; CURVE is 17 numbers."""

    pair: Pair
    values: Mapping[str, Values]


def make_results(pairs: Sequence[Pair], folder: Path, checkpoint: Path, flags: Sequence[str]) -> None:
    """folder/results/NAME.mp4 of every pair that is not there yet, by generate.py's list and with its flags.

    Who says their own sound does so in another clip's manner, or in nobody's: their own tells what lips do at it.

    What could not be made has no file, and folder/results/pairs.report.jsonl says why.  Raises BadInput for flags or a
    checkpoint that generate.py refuses; it has said why on standard error.
    """
    imitates = bool(registry.load_system(checkpoint).needs.motion)
    listing, results = folder / "pairs.jsonl", folder / "results"
    _write(listing, as_lines(_row(pair, imitates=imitates) for pair in pairs).encode())
    code = generate([
        "--filelist", str(listing), "--sample_path", str(results), "--model_path", str(checkpoint),
        "--length", "video", "--cache_dir", str(folder / "faces"),
        "--strict_pose", "force",  # where the original stays, its mouth would be measured
        *flags,
    ])  # fmt: skip
    if code not in (0, BatchFailed.exit_code):
        raise BadInput(f"{checkpoint}: generate.py ended with exit code {code}; its message above says what to change")


def _row(pair: Pair, *, imitates: bool) -> dict[str, str]:
    """A pair in the list that generate.py is given."""
    manner = str(pair.manner.absolute()) if imitates and pair.manner else ""
    return {
        "video": str(pair.video.absolute()),
        "audio": str(pair.sound.absolute()),
        "output": f"{pair.name}.mp4",
        "is_voxceleb2": str(pair.group != FULL).lower(),
        "end": "" if pair.seconds >= probe(pair.video).seconds else f"{float(pair.seconds):.3f}",
        "style_video": manner,
        "style_strength": "0" if imitates and pair.tells and not manner else "",
    }


def measure(pairs: Sequence[Pair], folder: Path, finders: Mapping[Protocol, FaceFinders]) -> Iterator[PairScores | str]:
    """The scores of each pair, or a sentence why it has none; writes folder/scores and, of own sound, folder/sheets."""
    for pair in tqdm(pairs, desc="measure", unit="clip", disable=None):
        result, scores = folder / "results" / f"{pair.name}.mp4", folder / "scores" / f"{pair.name}.json"
        finder = finders[VIDEOS if pair.group == FULL else CROPS]
        stamp = _stamp(pair, result, finder)
        known = json.loads(scores.read_text(encoding="utf-8")) if stamp and scores.exists() else {}
        if known.get("stamp") != stamp:
            case = Case(pair.name, pair.video, result if stamp else None, _sound(pair), result)
            try:
                clip = load(case, finder)
            except ClipError as problem:
                yield str(problem)
                continue
            known = {"stamp": stamp, "values": _values(clip, pair)}
            if pair.kind == "own":
                _write(folder / "sheets" / f"{pair.name}.jpg", contact_sheet(clip.real, clip.result, SHEET_SIDE))
            _write(scores, json.dumps(known, indent=1).encode())
        yield PairScores(pair, known["values"])


def frames_of(seconds: Fraction) -> int:
    """Moments at 25 a second."""
    return max(int(seconds * FPS), 1)


def _values(clip: Clip, pair: Pair) -> dict[str, dict[str, float | list[float] | None]]:
    return {
        subject: _figures(clip.real, sample, pair)
        for subject, sample in ((RESULT, clip.result), (REAL, clip.real), (PASTED, clip.pasted))
    }


def _figures(real: VideoSample, fake: VideoSample, pair: Pair) -> dict[str, float | list[float] | None]:
    setting = SETTING[pair.kind]
    figures: dict[str, float | list[float] | None] = {
        figure.name: measure(real, fake) for figure, measure in MEASURES if setting in figure.settings
    }
    curve = envelope(fake)
    assert curve is None or len(curve) == len(LAGS)
    return figures | {CURVE: None if curve is None else [float(value) for value in curve]}


def _sound(pair: Pair) -> Path | None:
    return None if pair.sound == pair.video else pair.sound


def _stamp(pair: Pair, result: Path, finder: FaceFinders) -> list[object] | None:
    """What the figures of a result depend on, as JSON keeps it; None if there is no result."""
    if not result.is_file():
        return None
    looked = finder.detector.name if finder.detector and is_detected(finder.protocol.framing) else ""
    files = [_state(path) for path in (result, pair.video, pair.sound)]
    return [VERSION, *files, str(pair.seconds), finder.most, looked]


def _state(path: Path) -> list[str | int]:
    """By what one sees that a file is another one."""
    if not path.is_file():
        return [str(path)]
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(content)
