"""What a metric is: fed clip by clip, it gives a figure for each and one for all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from ..video_sample import VideoSample

Better = Literal["up", "down", "real"]
Setting = Literal["reconstruction", "cross"]
BOTH: tuple[Setting, ...] = ("reconstruction", "cross")


@dataclass(frozen=True)
class Figure:
    """A line of the table.

    better    up: more is better, down: less is, real: as near as possible to what the real video has
    settings  in which it is defined
    paired    compares with the real video, so that the real video itself has none
    source    who defined it, and which arithmetic this is
    """

    name: str
    unit: str
    better: Better
    source: str
    digits: int = 3
    settings: tuple[Setting, ...] = BOTH
    paired: bool = False

    def __post_init__(self) -> None:
        if not (self.name and self.source and self.settings and self.digits >= 0):
            raise ValueError(f"a figure has a name, a source and a setting, unlike {self}")


class Metric(Protocol):
    """An accumulator.  `fake` may be a result, the real video itself, or what else is to be held against `real`."""

    @property
    def figure(self) -> Figure: ...

    def update(self, real: VideoSample, fake: VideoSample) -> float | None:
        """Takes in a clip, of which both sides show the same moments; its own figure, if a single clip has one."""
        ...

    def result(self) -> float | None:
        """The figure of all clips so far; None if no clip had one."""
        ...


Measure = Callable[[VideoSample, VideoSample], float | None]
"""(real, fake) -> the figure of one clip; None where it is not defined, such as a silence where nobody pauses."""


class ClipMean:
    """The mean over clips of what one clip has."""

    def __init__(self, figure: Figure, measure: Measure) -> None:
        self.figure = figure
        self._measure = measure
        self._values: list[float] = []

    def update(self, real: VideoSample, fake: VideoSample) -> float | None:
        value = self._measure(real, fake)
        if value is not None:
            self._values.append(value)
        return value

    def result(self) -> float | None:
        return float(np.mean(self._values)) if self._values else None


@dataclass(frozen=True)
class MetricSpec:
    """A figure and how to begin to measure it, or why it cannot be measured here: one of `make` and `missing`."""

    figure: Figure
    make: Callable[[], Metric] | None = None
    missing: str = ""

    def __post_init__(self) -> None:
        if (self.make is None) == (not self.missing):
            raise ValueError(f"{self.figure.name} is measured or it is missing")


def clip_mean(figure: Figure, measure: Measure) -> MetricSpec:
    """A figure that is the mean of the clips'."""
    return MetricSpec(figure, lambda: ClipMean(figure, measure))
