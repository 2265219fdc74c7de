"""The figures of many pairs -> one table: means over clips, then over speakers, with intervals over speakers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..held_out import FULL
from ..metrics.lips import LAGS, MEASURES
from ..pair_scores import CURVE, PairScores
from .results import ITSELF, PASTED, REAL, RESULT, over_speakers
from .tables import markdown, shown

TEST = "test"
DIGITS = 2
COLUMNS = (
    ("test", TEST, RESULT), ("seen", "seen", RESULT), ("full videos", FULL, RESULT), ("test, real video", TEST, REAL),
    ("test, reference mouth pasted", TEST, PASTED),
)  # fmt: skip
"""Title, group of pairs, subject."""

Value = float | None
Read = Callable[[PairScores, str], Value]


@dataclass(frozen=True)
class TableRow:
    """One line: of pairs of these kinds and groups, what `read` says of a pair and a subject."""

    title: str
    kinds: frozenset[str]
    groups: frozenset[str]
    read: Read
    paired: bool = True  # compares with the real video, so that this has no figure


def as_table(scores: Sequence[PairScores]) -> str:
    """Markdown: a line for each figure, `mean [95 % interval over speakers]`, and how much it is of."""
    rows = [["speakers / clips / results", *(_counts(scores, group) for _, group, _ in COLUMNS)]]
    rows += [[row.title, *(_cell(row, scores, *column[1:]) for column in COLUMNS)] for row in _rows()]
    rows += [
        [f"lip envelope, {title}, best lag", *(_best(kind, scores, *column[1:]) for column in COLUMNS)]
        for title, kind in (("own sound", "own"), ("speech", "speech"))
    ]
    return markdown(["figure", *(title for title, _, _ in COLUMNS)], rows) + "\n"


def _rows() -> Iterable[TableRow]:
    everywhere, crops = frozenset({TEST, "seen", FULL}), frozenset({TEST, "seen"})
    own, wrong, speech = (frozenset({kind}) for kind in ("own", "wrong", "speech"))
    r, leakage, near, leakage_near, spread, *looks = (figure for figure, _ in MEASURES)
    yield TableRow("lip opening, r with the own sound ↑", own, crops, _figure(r.name))
    yield TableRow("lip opening, r with a wrong sound, 0 is none", wrong, crops, _figure(leakage.name))
    yield TableRow("lip opening, r within 3 frames, own sound ↑", own, crops, _figure(near.name))
    yield TableRow("lip opening, r within 3 frames, wrong sound", wrong, crops, _figure(leakage_near.name))
    yield TableRow("lip opening, leakage with speech, 0 is none", speech, crops, _figure(leakage.name))
    yield TableRow("lip opening, range ≈ 1", own, crops, _figure(spread.name))
    for figure in looks:
        if figure.name.startswith("lip envelope"):
            yield TableRow("lip envelope, own sound, lag 0", own, crops, _at_once, paired=False)
            yield TableRow("lip envelope, speech, lag 0", speech, crops, _at_once, paired=False)
        else:
            better = {"up": "↑", "down": "↓", "real": "≈ 1"}[figure.better]
            unit = f", {figure.unit}" if figure.unit in ("px", "Lab") else ""
            yield TableRow(f"{figure.name}{unit} {better}", own, everywhere, _figure(figure.name))


def _figure(name: str) -> Read:
    def read(scores: PairScores, subject: str) -> Value:
        value = scores.values[subject].get(name)
        return value if isinstance(value, float) else None

    return read


def _at_once(scores: PairScores, subject: str) -> Value:
    curve = scores.values[subject].get(CURVE)
    return curve[LAGS.index(0)] if isinstance(curve, list) else None


def _cell(row: TableRow, scores: Sequence[PairScores], group: str, subject: str) -> str:
    wanted = [
        one for one in scores if one.pair.group == group and group in row.groups and one.pair.kind in row.kinds
    ]
    values = [(one.pair.speaker, value) for one in wanted if (value := row.read(one, subject)) is not None]
    if not values:
        return ""
    return ITSELF if row.paired and subject == REAL else shown(over_speakers(values), DIGITS)


def _best(kind: str, scores: Sequence[PairScores], group: str, subject: str) -> str:
    """The best lag of the mean curve."""
    curves = [
        one.values[subject][CURVE] for one in scores
        if one.pair.group == group and one.pair.kind == kind and group != FULL and one.values[subject].get(CURVE)
    ]  # fmt: skip
    if not curves:
        return ""
    mean = np.mean(np.array(curves, np.float64), axis=0)
    return f"{mean.max():.2f} at {LAGS[int(mean.argmax())]:+d} frames"


def _counts(scores: Sequence[PairScores], group: str) -> str:
    of = [one.pair for one in scores if one.pair.group == group]
    return f"{len({pair.speaker for pair in of})} / {len({pair.video for pair in of})} / {len(of)}" if of else ""
