"""Which picture of a file is shown at frame k of a constant rate: from the packets' timestamps, without decoding."""

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import Unreadable
from media import demuxed, file_version
from video.opening import is_still, opened

STILL_RATE = Fraction(25)
STANDARD_RATES = tuple(Fraction(n * 1000, d) for n in (24, 25, 30, 48, 50, 60, 120) for d in (1000, 1001))
SAME_RATE = Fraction(1, 5000)  # relative: 29.97 is meant to be 30000/1001, but not 30
GRID_TOLERANCE = 0.25  # of a frame: how far a timestamp may lie from a constant rate's grid
SLOWEST, FASTEST, MOST_FRAMES = 1, 240, 10_000_000  # frames a second, and of a video
LONGEST_PAUSE = 600  # seconds between two pictures; a longer one is a broken clock
UNSEEKABLE = {"mpeg"}  # MPEG program streams: packets get other timestamps after a seek

Times = NDArray[np.int64]


class Shown(NamedTuple):
    """A packet that holds a picture to be shown."""

    pts: int | None
    dts: int | None
    duration: int
    key: bool
    size: int


class Key(NamedTuple):
    """A key frame's packet: enough to find it and to know it again."""

    pts: int
    dts: int
    size: int


@dataclass(frozen=True)
class Timeline:
    """When the pictures of a file are shown.

    times int64 [pictures]: ascending presentation timestamps in units of `tick` seconds.
    shown int64 [frames]: the picture on screen at time k / fps after the first picture.
    keys: where reading may begin, ascending; none if the file cannot be sought in.
    counted: the file's timestamps are of no use; the pictures are numbered 0, 1, 2, ... as they decode.
    """

    times: Times
    shown: Times
    keys: tuple[Key, ...]
    tick: Fraction
    fps: Fraction
    counted: bool

    @property
    def frames(self) -> int:
        return len(self.shown)

    def key_before(self, time: int) -> Key | None:
        """The last key frame that is not after `time`; None if that is the first one."""
        place = bisect_right(self.keys, time, key=lambda key: key.pts) - 1
        return self.keys[place] if place > 0 else None


def timeline(path: Path) -> Timeline:
    """The timeline of a file; BadInput if it has no pictures or no rate.  Reads the packets once, decodes nothing."""
    return _timeline(path.absolute(), *file_version(path, "video"))


@lru_cache(maxsize=16)
def _timeline(path: Path, changed: int, size: int) -> Timeline:
    """`changed` and `size` make another version of the file another question."""
    with opened(path) as (container, stream):
        tick = Fraction(stream.time_base or 0)
        shown = [
            Shown(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, packet.size)
            for packet in demuxed(container, stream)
            if packet.size and not packet.is_discard
        ]
        rates = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
        still = is_still(container, len(shown))
        unordered = container.format.name == "avi" and stream.codec_context.has_b_frames  # stores no presentation times
        seekable = container.format.name not in UNSEEKABLE
    if not shown:
        raise Unreadable(f"{path}: no picture in it can be read (cut off or damaged); export or copy it again")
    if still:
        return _counted(len(shown), STILL_RATE)
    rates = [rate for rate in rates if SLOWEST <= rate <= FASTEST]
    if not unordered and _usable(shown, tick):
        line = _timed(shown, tick, rates, seekable=seekable)
    elif rates:
        line = _counted(len(shown), rates[0])
    else:
        raise Unreadable(f"{path}: it says neither how long nor how fast it is; convert it to mp4 with a constant rate")
    if not SLOWEST <= line.fps <= FASTEST or line.frames > MOST_FRAMES:
        raise Unreadable(
            f"{path}: {float(line.fps):g} frames a second, {line.frames} in all; convert it to a rate between"
            f" {SLOWEST} and {FASTEST} (--fps chooses that of the result, not of what is read)"
        )
    return line


def _usable(shown: list[Shown], tick: Fraction) -> bool:
    """Whether there are timestamps, in an order and at distances that a clock would give."""
    presented = sorted(packet.pts for packet in shown if packet.pts is not None)
    decoded = [packet.dts for packet in shown if packet.dts is not None]
    if 2 * len(presented) < len(shown) or not tick:
        return False
    return all(a <= b for a, b in pairwise(decoded)) and all(
        (b - a) * tick <= LONGEST_PAUSE for a, b in pairwise(presented)
    )


def _counted(pictures: int, fps: Fraction) -> Timeline:
    numbers = np.arange(pictures)
    return Timeline(numbers, numbers, (), 1 / fps, fps, counted=True)


def _timed(shown: list[Shown], tick: Fraction, rates: list[Fraction], *, seekable: bool) -> Timeline:
    lasting = {packet.pts: packet.duration for packet in shown if packet.pts is not None}
    times = np.array(sorted(lasting), np.int64)
    keys = [
        Key(packet.pts, packet.pts if packet.dts is None else packet.dts, packet.size)
        for packet in shown
        if seekable and packet.key and packet.pts is not None
    ]
    fps, pictures = _constant(times - times[0], lasting[int(times[-1])], tick, rates)
    return Timeline(times, pictures, tuple(sorted(keys)), tick, fps, counted=False)


def _constant(times: Times, last: int, tick: Fraction, rates: list[Fraction]) -> tuple[Fraction, Times]:
    """A constant rate for pictures at these times (from 0), and which of them is on screen at each of its frames.

    A rate on whose grid every picture falls loses none of them, whether or not some of the grid is empty (a camera
    that drops frames).  Free timestamps get their own mean rate, or the usual one where pauses blur the mean.
    last: how long the last picture is said to last, 0 if that is not known.
    """
    if len(times) == 1:
        return (rates[0] if rates else STILL_RATE), np.zeros(1, np.int64)
    usual = Fraction(int(np.median(np.diff(times)))) * tick or tick  # seconds from picture to picture
    end = int(times[-1]) * tick + (last * tick or usual)
    mean = len(times) / end
    grids = [(fps, *_grid(times, tick * fps)) for fps in _candidates(rates, times, tick, usual)]
    fitting = [(error, fps, places) for fps, error, places in grids if error <= GRID_TOLERANCE]
    if fitting:
        _, fps, places = min(fitting, key=lambda fit: round(fit[0], 2))
        dense = int(places[-1]) + 1 == len(places)
        count = len(places) if dense else max(int(places[-1]) + 1, round(end * fps))
        return fps, np.searchsorted(places, np.arange(count), side="right") - 1
    fps = mean if 4 / usual < 5 * mean else Fraction(max(1, round(1 / usual)))
    fps = fps.limit_denominator(1_000_000)
    moments = [int(frame / fps / tick) for frame in range(max(1, round(end * fps)))]
    return fps, np.searchsorted(times, np.array(moments, np.int64), side="right") - 1


def _candidates(rates: list[Fraction], times: Times, tick: Fraction, usual: Fraction) -> list[Fraction]:
    """Constant rates worth trying, likeliest first: those the file states, the one it keeps, the usual one."""
    mean_rate = (len(times) - 1) / (int(times[-1]) * tick)
    meant = [_nearest(rate) for rate in (*rates, mean_rate) if abs(_nearest(rate) / rate - 1) < SAME_RATE]
    tried = dict.fromkeys((*meant, *rates, mean_rate.limit_denominator(1_000_000), _nearest(1 / usual)))
    return [rate for rate in tried if rate * usual <= Fraction(21, 10)]  # a finer grid fits anything


def _nearest(rate: Fraction) -> Fraction:
    return min(STANDARD_RATES, key=lambda standard: abs(standard / rate - 1))


def _grid(times: Times, step: Fraction) -> tuple[float, Times]:
    """Places on the grid of frames, where one tick is `step` frames, and the largest error; inf if two share one."""
    exact = times * float(step)
    places = np.round(exact).astype(np.int64)
    error = float(np.abs(exact - places).max())
    return (error if (np.diff(places) > 0).all() else float("inf")), places
