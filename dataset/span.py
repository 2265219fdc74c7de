"""The stretches of a video in which one face can be learned from."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import numpy as np

from audio import MEL_RATE
from face_detection import FaceTrack

FPS = Fraction(25)  # of every clip
BEAT = Fraction(1, 5)  # seconds; clips begin on it, where 5 frames and 16 mel columns meet
assert (BEAT * FPS).denominator == (BEAT * MEL_RATE).denominator == 1
LONGEST = 20  # seconds of a clip; a longer stretch becomes several


@dataclass(frozen=True)
class Least:
    """What a stretch must have: seconds, and pixels of the video from the forehead to the chin of its face."""

    seconds: float = 1.0
    face: float = 96.0

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.face >= 0):
            raise ValueError(f"a clip has a length, and its face a height, unlike {self}")


@dataclass(frozen=True)
class Span:
    """`frames` frames at 25 per second, from `begin` seconds of the video on, within its frames start..stop-1.

    face: the median height of the face, in pixels of the video.  flaw: why it cannot be used, None if it can.
    """

    begin: Fraction
    frames: int
    start: int
    stop: int
    face: float = 0.0
    flaw: str | None = None

    def numbers(self, fps: Fraction) -> list[int]:
        """For each of its frames the nearest of the video's within the shot."""
        nearest = (floor((self.begin + k / FPS) * fps + Fraction(1, 2)) for k in range(self.frames))
        return [min(max(number, self.start), self.stop - 1) for number in nearest]


def spans(track: FaceTrack, fps: Fraction, least: Least) -> Iterator[Span]:
    """Every stretch of a track between its cuts and gaps, those without a face as well, and what is wrong with each."""
    present = track.present
    edges = {*track.shots, *(int(k) + 1 for k in np.flatnonzero(np.diff(present)))}
    for start, stop in pairwise([*sorted(edges), len(track)]):
        begin = ceil(start / fps / BEAT) * BEAT
        frames = max(floor((stop / fps - begin) * FPS), 0)
        height = float(np.median(track.boxes[start:stop, 3] - track.boxes[start:stop, 1])) if present[start] else 0.0
        whole = Span(begin, frames, start, stop, height)
        flaw = _flaw(whole, least)
        yield from [Span(begin, frames, start, stop, height, flaw)] if flaw else _parts(whole)


def _flaw(span: Span, least: Least) -> str | None:
    if not span.face:
        return "no face"
    if span.frames < least.seconds * FPS:
        return f"shorter than {least.seconds:g} s"
    if span.face < least.face:
        return f"face of {span.face:.0f} px, less than {least.face:g}"
    return None


def _parts(span: Span) -> list[Span]:
    """The span in equally long parts of at most LONGEST seconds, each beginning on the beat."""
    count = ceil(span.frames / (LONGEST * FPS))
    beat = int(BEAT * FPS)  # frames
    cuts = [span.frames * part // count // beat * beat for part in range(count)]
    return [
        Span(span.begin + first / FPS, last - first, span.start, span.stop, span.face)
        for first, last in pairwise([*cuts, span.frames])
    ]
