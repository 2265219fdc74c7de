"""Cases -> an evaluation."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from tqdm import tqdm

from .cases import Case
from .clip import Clip, ClipError, load
from .metrics.metric import Metric, MetricSpec
from .metrics.mouth import opening
from .report.results import PASTED, REAL, RESULT, SUBJECTS, Cell, Evaluation, Problem, Row, Scores, cell
from .report.sheet import contact_sheet
from .suite import Suite
from .video_sample import VideoSample

Accumulators = Mapping[str, Sequence[Metric]]
"""Of each subject."""


def evaluate(cases: Sequence[Case], suite: Suite) -> Evaluation:
    """Every figure of every case; what cannot be evaluated is left out and named."""
    accumulators = {subject: _accumulators(suite.metric_specs, subject) for subject in SUBJECTS}
    clips: list[Scores] = []
    problems: list[Problem] = []
    for case in tqdm(cases, desc="clips", unit="clip", disable=None):
        try:
            clip = load(case, suite.finders)
        except ClipError as problem:
            problems.append(Problem(case.name, problem.flaw, str(problem)))
            continue
        clips.append(_scores(clip, accumulators))
    rows = list(_rows(suite.metric_specs, accumulators, clips))
    return Evaluation(suite.finders.protocol, rows, clips, problems, suite.weights, suite.lacking)


def _accumulators(metric_specs: Sequence[MetricSpec], subject: str) -> list[Metric]:
    return [
        spec.make()
        for spec in metric_specs
        if spec.make is not None and not (spec.figure.paired and subject == REAL)
    ]


def _scores(clip: Clip, accumulators: Accumulators) -> Scores:
    samples = {RESULT: clip.result, REAL: clip.real, PASTED: clip.pasted}
    values = {
        subject: {metric.figure.name: metric.update(clip.real, samples[subject]) for metric in metrics}
        for subject, metrics in accumulators.items()
    }
    return Scores(clip.case.name, len(clip.real), values, _curves(samples), contact_sheet(clip.real, clip.result))


def _curves(samples: Mapping[str, VideoSample]) -> dict[str, np.ndarray]:
    return {
        subject: opening(sample.mouth).astype(np.float32)
        for subject, sample in samples.items()
        if sample.mouth is not None
    }


def _rows(metric_specs: Sequence[MetricSpec], accumulators: Accumulators, clips: Sequence[Scores]) -> Iterable[Row]:
    for spec in metric_specs:
        name = spec.figure.name
        if spec.make is None:
            note = Cell(note=f"not measured ({spec.missing})")
            yield Row(spec.figure, dict.fromkeys(SUBJECTS, note), 0)
            continue
        totals = {
            subject: metric.result()
            for subject, metrics in accumulators.items()
            for metric in metrics
            if metric.figure.name == name
        }
        values = {
            subject: [value for clip in clips if (value := clip.values[subject].get(name)) is not None]
            for subject in SUBJECTS
        }
        cells = {
            subject: cell(spec.figure, subject, totals.get(subject), values[subject]) for subject in SUBJECTS
        }
        of_all = len(clips) if totals.get(RESULT) is not None else 0
        yield Row(spec.figure, cells, len(values[RESULT]) or of_all)
