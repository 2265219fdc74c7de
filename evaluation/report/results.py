"""What an evaluation has found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..metrics.bootstrap import interval, speaker_means
from ..metrics.metric import Figure
from ..protocol import Protocol

SUBJECTS = ("result", "real video", "reference mouth pasted")
RESULT, REAL, PASTED = SUBJECTS
ITSELF = "itself"


@dataclass(frozen=True)
class Cell:
    """One figure of one subject: its value with an interval, or a note that says why there is none."""

    value: float | None = None
    bounds: tuple[float, float] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) == (not self.note):
            raise ValueError("a cell has a value or a note")


@dataclass(frozen=True)
class Row:
    """One figure of all subjects.  clips: how many had it."""

    figure: Figure
    cells: Mapping[str, Cell]
    clips: int


@dataclass(frozen=True)
class Scores:
    """One clip.  values: subject -> figure -> value, None where it is not defined.

    curves: subject -> f32 [t], how far the mouth opens, empty without landmarks; sheet: a JPEG of it.
    """

    name: str
    frames: int
    values: Mapping[str, Mapping[str, float | None]]
    curves: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    sheet: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Problem:
    """A clip that is in no figure.  flaw: missing, short or broken."""

    name: str
    flaw: str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """All of it.

    weights: the files measured with -> their SHA-256; lacking: those that are not there -> where they are published.
    """

    protocol: Protocol
    rows: Sequence[Row]
    clips: Sequence[Scores]
    problems: Sequence[Problem]
    weights: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        return sum(clip.frames for clip in self.clips)

    def row(self, name: str) -> Row:
        """The row of the figure of this name.  KeyError if there is none."""
        return {row.figure.name: row for row in self.rows}[name]


def estimate(values: Sequence[float]) -> Cell:
    """The mean of values with its interval; a note where there are none."""
    return Cell(float(np.mean(values)), interval(values)) if values else Cell(note="-")


def over_speakers(values: Iterable[tuple[str, float]], least: int = 1) -> Cell:
    """Of (speaker, value), the mean over speakers of their means; over the values where there are too few speakers."""
    known = list(values)
    means = speaker_means(known)
    return estimate(means if len(means) >= least else [value for _, value in known])


def cell(figure: Figure, subject: str, value: float | None, values: Sequence[float]) -> Cell:
    """value: of all clips; values: of each that has one, from which the interval is."""
    if figure.paired and subject == REAL:
        return Cell(note=ITSELF)
    return Cell(note="no clip has it") if value is None else Cell(value, interval(values))
