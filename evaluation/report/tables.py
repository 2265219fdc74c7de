"""An evaluation as JSON, CSV and Markdown."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from ..metrics.metric import Figure
from .results import RESULT, SUBJECTS, Cell, Evaluation, Problem, Row

FETCH = "python scripts/download_weights.py fetches them"
BETTER = {"up": "↑", "down": "↓", "real": "≈ real"}


def title(figure: Figure) -> str:
    """Name, unit and what is better: `PSNR, dB ↑`."""
    return f"{figure.name}{', ' if figure.unit else ''}{figure.unit} {BETTER[figure.better]}"


def shown(cell: Cell, digits: int, sign: str = "") -> str:
    """`24.45 [23.72, 25.12]`, or the note; sign: "+" for a sign in any case."""
    if cell.value is None:
        return cell.note
    value, *bounds = (f"{number:{sign}.{digits}f}" for number in (cell.value, *(cell.bounds or ())))
    return f"{value} [{', '.join(bounds)}]" if bounds else value


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


def cells(row: Row) -> list[str]:
    """The row's text for each subject; what nobody measured is said once."""
    texts = [shown(row.cells[subject], row.figure.digits) for subject in SUBJECTS]
    return texts if row.cells[RESULT].value is not None else [texts[0], *("" for _ in SUBJECTS[1:])]


def summary(evaluation: Evaluation) -> str:
    """How much was evaluated: `12 clips, 900 frames; left out: 1 missing`."""
    flaws = [problem.flaw for problem in evaluation.problems]
    counts = ", ".join(f"{flaws.count(flaw)} {flaw}" for flaw in dict.fromkeys(flaws))
    clips = len(evaluation.clips)
    return f"{clips} clip{'' if clips == 1 else 's'}, {evaluation.frames} frames; left out: {counts or 'none'}"


def as_markdown(evaluation: Evaluation) -> str:
    """The table with all that is needed to make it again."""
    lines = [f"- {what}: {how}" for what, how in evaluation.protocol.lines()]
    lines += [f"- weights: {name} (SHA-256 {digest})" for name, digest in evaluation.weights.items()]
    lines += [f"- evaluated: {summary(evaluation)}", ""]
    rows = ([title(row.figure), *cells(row), str(row.clips or "")] for row in evaluation.rows)
    lines += [markdown(["", *SUBJECTS, "clips"], rows)]
    lines += ["", "Sources:", ""]
    lines += [f"- {row.figure.name}: {row.figure.source}" for row in evaluation.rows]
    if evaluation.lacking:
        lines += ["", f"Weights that were not there ({FETCH}):", ""]
        lines += [f"- {name}: {reason}" for name, reason in evaluation.lacking.items()]
    if evaluation.problems:
        lines += ["", "Left out:", ""]
        lines += [f"- {problem.name}: {problem.flaw} ({problem.reason})" for problem in evaluation.problems]
    return "\n".join(lines) + "\n"


def as_json(evaluation: Evaluation) -> str:
    """Everything but pictures and curves."""
    content = {
        "protocol": {"name": evaluation.protocol.name, **dict(evaluation.protocol.lines())},
        "weights": dict(evaluation.weights),
        "weights_lacking": dict(evaluation.lacking),
        "frames": evaluation.frames,
        "figures": [_figure(row) for row in evaluation.rows],
        "clips": [{"name": clip.name, "frames": clip.frames, **_plain(clip.values)} for clip in evaluation.clips],
        "left_out": [asdict(problem) for problem in evaluation.problems],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(evaluation: Evaluation) -> str:
    """A line for each clip and subject, and one for each clip that was left out."""
    names = [row.figure.name for row in evaluation.rows]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "state", "subject", "frames", *names])
    for clip in evaluation.clips:
        for subject in SUBJECTS:
            values = clip.values[subject]
            figures = ["" if (value := values.get(name)) is None else repr(float(value)) for name in names]
            writer.writerow([_inert(clip.name), "evaluated", subject, clip.frames, *figures])
    writer.writerows([_left_out(problem, len(names)) for problem in evaluation.problems])
    return text.getvalue()


def _figure(row: Row) -> dict[str, object]:
    figure = {key: value for key, value in asdict(row.figure).items() if key not in ("digits", "settings", "paired")}
    return {**figure, "clips": row.clips, **{subject: asdict(row.cells[subject]) for subject in SUBJECTS}}


def _plain(values: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    return {subject: dict(values[subject]) for subject in SUBJECTS}


def _left_out(problem: Problem, figures: int) -> list[str]:
    return [_inert(problem.name), problem.flaw, "", "", *[""] * figures]


def _inert(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
