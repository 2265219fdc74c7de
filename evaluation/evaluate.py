"""Cases -> an evaluation."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from tqdm import tqdm

from .cases import Case
from .clip import Clip, ClipError, load
from .metrics.metric import Column, Metric
from .metrics.mouth import opening
from .report.results import PASTED, REAL, RESULT, SUBJECTS, Cell, Evaluation, Problem, Row, Scores, cell
from .report.sheet import contact_sheet
from .suite import Suite
from .talker import Talker

Board = Mapping[str, Sequence[Metric]]
"""subject -> its accumulators."""


def evaluate(cases: Sequence[Case], suite: Suite) -> Evaluation:
    """Every figure of every case; what cannot be evaluated is left out and named."""
    board = {subject: _accumulators(suite.columns, subject) for subject in SUBJECTS}
    clips: list[Scores] = []
    problems: list[Problem] = []
    for case in tqdm(cases, desc="clips", unit="clip", disable=None):
        try:
            clip = load(case, suite.eyes)
        except ClipError as problem:
            problems.append(Problem(case.name, problem.flaw, str(problem)))
            continue
        clips.append(_scores(clip, board))
    rows = list(_rows(suite.columns, board, clips))
    return Evaluation(suite.eyes.protocol, rows, clips, problems, suite.weights, suite.lacking)


def _accumulators(columns: Sequence[Column], subject: str) -> list[Metric]:
    return [
        column.make()
        for column in columns
        if column.make is not None and not (column.figure.paired and subject == REAL)
    ]


def _scores(clip: Clip, board: Board) -> Scores:
    talkers = {RESULT: clip.result, REAL: clip.real, PASTED: clip.pasted}
    values = {
        subject: {metric.figure.name: metric.update(clip.real, talkers[subject]) for metric in metrics}
        for subject, metrics in board.items()
    }
    return Scores(clip.case.name, len(clip.real), values, _curves(talkers), contact_sheet(clip.real, clip.result))


def _curves(talkers: Mapping[str, Talker]) -> dict[str, np.ndarray]:
    return {
        subject: opening(talker.mouth).astype(np.float32)
        for subject, talker in talkers.items()
        if talker.mouth is not None
    }


def _rows(columns: Sequence[Column], board: Board, clips: Sequence[Scores]) -> Iterable[Row]:
    for column in columns:
        name = column.figure.name
        if column.make is None:
            note = Cell(note=f"not measured ({column.missing})")
            yield Row(column.figure, dict.fromkeys(SUBJECTS, note), 0)
            continue
        totals = {
            subject: metric.result()
            for subject, metrics in board.items()
            for metric in metrics
            if metric.figure.name == name
        }
        values = {
            subject: [value for clip in clips if (value := clip.values[subject].get(name)) is not None]
            for subject in SUBJECTS
        }
        cells = {
            subject: cell(column.figure, subject, totals.get(subject), values[subject]) for subject in SUBJECTS
        }
        of_all = len(clips) if totals.get(RESULT) is not None else 0
        yield Row(column.figure, cells, len(values[RESULT]) or of_all)
