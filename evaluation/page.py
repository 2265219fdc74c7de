"""An evaluation as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from . import drawing
from .results import REAL, RESULT, SUBJECTS, Evaluation, Row, Scores
from .tables import BETTER, FETCH, cells, summary, title

SHOWN = 3  # clips at either end
RANKING = ("LSE-D", "sync expert's cosine", "LPIPS", "PSNR of the mouth half", "jitter outside the mouth")
"""By the first of these that was measured, clips are the worst and the best."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #111827; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #e5e7eb; padding: .25em .8em; text-align: left; vertical-align: top; }
.wide { overflow-x: auto; } .note { color: #6b7280; } svg text { font: 11px sans-serif; fill: #374151; }
.clip { margin: 1em 0; } .clip img { max-width: 100%; } .flaw { color: #b91c1c; }
"""


def as_page(evaluation: Evaluation) -> str:
    """The whole document."""
    parts = [
        f"<h1>Evaluation: {escape(evaluation.protocol.name)}</h1>",
        f"<p>{escape(summary(evaluation))}</p>",
        _table(["", *SUBJECTS, "clips"], (_row(row) for row in evaluation.rows)),
        *_problems(evaluation),
        *_extremes(evaluation),
        *_histograms(evaluation),
        "<h2>Protocol</h2>",
        _table([], ((escape(what), escape(how)) for what, how in evaluation.protocol.lines())),
        "<h2>Sources</h2>",
        _table([], ((escape(row.figure.name), escape(row.figure.source)) for row in evaluation.rows)),
        *_weights(evaluation),
        "<h2>Every clip</h2>",
        _every_clip(evaluation),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Evaluation: {escape(evaluation.protocol.name)}</title><style>{STYLE}</style></head>\n<body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def ranking(evaluation: Evaluation) -> tuple[Row, list[Scores]] | None:
    """The row that ranks, and the clips that have it, the worst first; None if nothing that ranks was measured."""
    rows = {row.figure.name: row for row in evaluation.rows}
    for name in RANKING:
        having = [clip for clip in evaluation.clips if clip.values[RESULT].get(name) is not None]
        if having:
            up = rows[name].figure.better == "up"
            return rows[name], sorted(having, key=lambda clip: (1 if up else -1) * (clip.values[RESULT][name] or 0.0))
    return None


def _row(row: Row) -> Sequence[str]:
    name = f'<span title="{escape(row.figure.source)}">{escape(title(row.figure))}</span>'
    texts = [
        escape(text) if row.cells[subject].value is not None else f'<span class="note">{escape(text)}</span>'
        for subject, text in zip(SUBJECTS, cells(row), strict=True)
    ]
    return name, *texts, str(row.clips or "")


def _problems(evaluation: Evaluation) -> list[str]:
    if not evaluation.problems:
        return []
    rows = (
        (escape(problem.name), f'<span class="flaw">{escape(problem.flaw)}</span>', escape(problem.reason))
        for problem in evaluation.problems
    )
    return ["<h2>Left out</h2>", _table(["clip", "", "why"], rows)]


def _extremes(evaluation: Evaluation) -> list[str]:
    ranked = ranking(evaluation)
    if ranked is None:
        return []
    row, clips = ranked
    parts = [f"<p>By {escape(title(row.figure))}.  Above the real video, below the result.</p>"]
    half = (len(clips) + 1) // 2
    for heading, part in (("Worst clips", clips[:half][:SHOWN]), ("Best clips", clips[half:][::-1][:SHOWN])):
        if part:
            parts += [f"<h2>{heading}</h2>", *(_clip(clip, row) for clip in part)]
    return parts


def _clip(clip: Scores, row: Row) -> str:
    value = clip.values[RESULT][row.figure.name] or 0.0
    picture = b64encode(clip.sheet).decode()
    shown = {subject: clip.curves[subject] for subject in (REAL, RESULT) if subject in clip.curves}
    drawn = drawing.curves(shown, "mouth opening, of its width")
    return (
        f'<div class="clip"><strong>{escape(clip.name)}</strong>: {value:.{row.figure.digits}f}<br>'
        f'<img alt="contact sheet of {escape(clip.name)}" src="data:image/jpeg;base64,{picture}">'
        + (f"<br>{drawn}<br>{drawing.legend(list(shown))}" if drawn else "")
        + "</div>"
    )


def _histograms(evaluation: Evaluation) -> list[str]:
    drawn = []
    for row in evaluation.rows:
        values = {subject: _values(evaluation, row, subject) for subject in (REAL, RESULT)}
        drawn.append(drawing.histogram(values, title(row.figure), row.figure.digits))
    drawn = [figure for figure in drawn if figure]
    return ["<h2>How the clips are spread</h2>", f"<p>{drawing.legend([REAL, RESULT])}</p>", *drawn] if drawn else []


def _values(evaluation: Evaluation, row: Row, subject: str) -> list[float]:
    found = (clip.values[subject].get(row.figure.name) for clip in evaluation.clips)
    return [value for value in found if value is not None]


def _weights(evaluation: Evaluation) -> list[str]:
    parts = []
    lacking = f"Weights that were not there: {FETCH}"
    for heading, files in (("Weights", evaluation.weights), (lacking, evaluation.lacking)):
        if files:
            rows = ((escape(name), escape(what)) for name, what in files.items())
            parts += [f"<h2>{heading}</h2>", _table([], rows)]
    return parts


def _every_clip(evaluation: Evaluation) -> str:
    rows = [row for row in evaluation.rows if _values(evaluation, row, RESULT)]
    header = ["clip", "frames", *(f"{row.figure.name} {BETTER[row.figure.better]}" for row in rows)]
    lines = ((escape(clip.name), str(clip.frames), *(_of(clip, row) for row in rows)) for clip in evaluation.clips)
    return f'<div class="wide">{_table(header, lines)}</div>'


def _of(clip: Scores, row: Row) -> str:
    """The result's figure, and the real video's beside it where it has one."""
    texts = [
        f"{value:.{row.figure.digits}f}"
        for subject in (RESULT, REAL)
        if (value := clip.values[subject].get(row.figure.name)) is not None
    ]
    return texts[0] + (f' <span class="note">(real {texts[1]})</span>' if len(texts) > 1 else "") if texts else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The header is text, the cells are HTML."""
    head = "<tr>" + "".join(f"<th>{escape(text)}</th>" for text in header) + "</tr>" if header else ""
    body = "".join("<tr>" + "".join(f"<td>{text}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table>{head}{body}</table>"
