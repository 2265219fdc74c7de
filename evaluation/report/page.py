"""An evaluation as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import plots
from .results import REAL, RESULT, SUBJECTS, Evaluation, Row, Scores
from .tables import BETTER, FETCH, cells, summary, title

SHOWN = 3  # clips at either end
RANKING = ("LSE-D", "sync expert's cosine", "LPIPS", "PSNR of the mouth half", "jitter outside the mouth")
"""By the first of these that was measured, clips are the worst and the best."""
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def as_page(evaluation: Evaluation) -> str:
    """The whole document."""
    measured = [row for row in evaluation.rows if _values(evaluation, row, RESULT)]
    spread = [
        (title(row.figure), {subject: _values(evaluation, row, subject) for subject in (REAL, RESULT)})
        for row in measured
    ]
    ranked = ranking(evaluation)
    return TEMPLATES.get_template("page.html").render(
        protocol=evaluation.protocol, summary=summary(evaluation), subjects=SUBJECTS,
        rows=[_row(row) for row in evaluation.rows], problems=evaluation.problems,
        ranked_by=title(ranked[0].figure) if ranked else "", extremes=_extremes(*ranked) if ranked else [],
        histograms=plots.histograms([(name, values) for name, values in spread if sum(map(len, values.values())) > 1]),
        sources=[(row.figure.name, row.figure.source) for row in evaluation.rows],
        weights=evaluation.weights, lacking=evaluation.lacking, fetch=FETCH,
        every_header=["clip", "frames", *(f"{row.figure.name} {BETTER[row.figure.better]}" for row in measured)],
        every_clip=[[clip.name, clip.frames, *(_of(clip, row) for row in measured)] for clip in evaluation.clips],
    )  # fmt: skip


def ranking(evaluation: Evaluation) -> tuple[Row, list[Scores]] | None:
    """The row that ranks, and the clips that have it, the worst first; None if nothing that ranks was measured."""
    rows = {row.figure.name: row for row in evaluation.rows}
    for name in RANKING:
        having = [clip for clip in evaluation.clips if clip.values[RESULT].get(name) is not None]
        if having:
            up = rows[name].figure.better == "up"
            return rows[name], sorted(having, key=lambda clip: (1 if up else -1) * (clip.values[RESULT][name] or 0.0))
    return None


def _row(row: Row) -> dict[str, object]:
    known = (row.cells[subject].value is not None for subject in SUBJECTS)
    return {
        "title": title(row.figure), "source": row.figure.source, "clips": row.clips or "",
        "cells": list(zip(cells(row), known, strict=True)),
    }  # fmt: skip


def _extremes(row: Row, clips: list[Scores]) -> list[tuple[str, list[dict[str, str]]]]:
    half = (len(clips) + 1) // 2
    parts = (("Worst clips", clips[:half][:SHOWN]), ("Best clips", clips[half:][::-1][:SHOWN]))
    return [(heading, [_clip(clip, row) for clip in part]) for heading, part in parts]


def _clip(clip: Scores, row: Row) -> dict[str, str]:
    known = {subject: clip.curves[subject] for subject in (REAL, RESULT) if subject in clip.curves}
    return {
        "name": clip.name, "value": f"{clip.values[RESULT][row.figure.name] or 0.0:.{row.figure.digits}f}",
        "sheet": b64encode(clip.sheet).decode(), "curves": plots.curves(known, "mouth opening, of its width"),
    }  # fmt: skip


def _values(evaluation: Evaluation, row: Row, subject: str) -> list[float]:
    values = (clip.values[subject].get(row.figure.name) for clip in evaluation.clips)
    return [value for value in values if value is not None]


def _of(clip: Scores, row: Row) -> str:
    """The result's figure, and the real video's beside it where it has one."""
    result, real = (clip.values[subject].get(row.figure.name) for subject in (RESULT, REAL))
    if result is None:
        return ""
    digits = row.figure.digits
    return f"{result:.{digits}f}" + ("" if real is None else f" (real {real:.{digits}f})")
