"""The files that an evaluation leaves behind."""

import json
from pathlib import Path

from core.atomic import atomic
from core.errors import BatchFailed

from .page import as_page
from .results import Evaluation
from .tables import as_csv, as_json, as_markdown

WRITTEN = {"json": as_json, "csv": as_csv, "md": as_markdown, "html": as_page}
ENDINGS = tuple(WRITTEN)
NAMED = 5  # clips that were left out, in the sentence that says so


def write_json(path: Path, content: object) -> None:
    """A file of figures, whole or not at all.  Raises BadInput if it cannot be written."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def write(evaluation: Evaluation, folder: Path) -> None:
    """report.json, .csv, .md and .html, each whole or not at all.  Raises BadInput if they cannot be written.

    Names that are no UTF-8 are spelled as JSON can: \\udcff.
    """
    for ending, text in WRITTEN.items():
        with atomic(folder / f"report.{ending}") as temporary:
            temporary.write_text(text(evaluation), encoding="utf-8", errors="backslashreplace", newline="")


def check(evaluation: Evaluation) -> None:
    """Raises BatchFailed that names them if clips were left out."""
    if problems := evaluation.problems:
        named = ", ".join(f"{problem.name} ({problem.flaw})" for problem in problems[:NAMED])
        more = f" and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        raise BatchFailed(
            f"{len(problems)} of {len(problems) + len(evaluation.clips)} clips are in no figure: {named}{more};"
            " the reports say why"
        )
