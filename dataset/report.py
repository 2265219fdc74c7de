"""What became of every video, clip by clip: report.jsonl in a prepared folder, by which an interrupted run goes on.

    {"size": 128, "held_out": 0.1, "min_seconds": 1.0}
    {"source": "ann/a.mp4", "begin": 0.0, "seconds": 3.2, "frames": 80, "face": 143, "clip": "train/ann/a__000.npz"}
    {"source": "ann/a.mp4", "begin": 3.4, "seconds": 0.4, "frames": 10, "face": 140, "skipped": "shorter than 1 s"}
    {"source": "ann/a.mp4", "finished": true, "clips": 1}
    {"source": "bob/b.mp4", "failed": "bob/b.mp4: the file is empty; export or copy it again"}

The first line has the settings that decide where and how clips are made (of older reports, the size alone).  begin and
seconds are of the video.  offset and confidence are there where sound and lips were compared, warnings where the video
is cut off or damaged and was used as far as it goes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.atomic import atomic
from core.errors import Mismatch, Unreadable
from core.jsonl import as_lines, lines_of

from .prepared import is_prepared

Line = Mapping[str, object]
Settings = Mapping[str, float | str | None]
"""Flags without their dashes -> values; None for a flag that the program does not have."""
REPORT = "report.jsonl"
BEGIN = '{"source": "'  # of each line but the first


class Report:
    """The report of one prepared folder, continued where it stopped."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """settings: all that decide where and how clips are made, size among them; those of before stay in the report.

        Raises BadInput if the folder has clips that were made with others.
        """
        self.path = folder / REPORT
        lines = read_report(self.path)
        self.finished = {line["source"] for line in lines if line.get("finished")}
        begun = self.finished or is_prepared(folder)
        before = lines[0] if begun and lines and "source" not in lines[0] else {}
        for name, value in settings.items():
            if before.get(name, value) != value:
                raise Mismatch(f"{folder}: {_difference(name, before[name], value)}, or choose another --output")
        finished = [line for line in lines if line.get("source") in self.finished]
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(self.path) as temporary:  # a line that a kill cut short goes, and what failed is tried again
            temporary.write_text(as_lines([{**before, **settings}, *finished]), encoding="ascii")

    def finish(self, source: str, lines: Sequence[Line]) -> None:
        """A video's lines, after all of its clips were written."""
        clips = sum("clip" in line for line in lines)
        named = [{"source": source} | dict(line) for line in lines]
        self._add([*named, {"source": source, "finished": True, "clips": clips}])
        self.finished.add(source)

    def fail(self, source: str, problem: str) -> None:
        """A video that could not be used, to be tried again by the next run."""
        self._add([{"source": source, "failed": problem}])

    def _add(self, lines: Sequence[Line]) -> None:
        with self.path.open("a", encoding="ascii") as file:
            file.write(as_lines(lines))


def read_report(path: Path) -> list[dict[str, object]]:
    """The lines of a report, without one that was cut short at its end; none if there is no report yet.

    Raises BadInput if it is something else.
    """
    texts = lines_of(path) if path.exists() else []
    rows: list[dict[str, object]] = []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
            if number == len(texts) and (text.startswith(BEGIN) or BEGIN.startswith(text)):
                break
        if not isinstance(line, dict) or not (isinstance(line.get("source"), str) or isinstance(line.get("size"), int)):
            raise Unreadable(
                f"{path}, line {number}: is no line of a report of prepared clips; move the file away, or choose"
                " another --output"
            )
        rows.append(line)
    return rows


def _difference(name: str, before: object, now: object) -> str:
    """What was set otherwise, and what to do about it.  Flags that one program alone has are scripts/prepare.py's."""
    if before is None:
        return f"its clips were made without --{name}; leave that out"
    remedy = "pass that" if now is not None else "pass that to scripts/prepare.py"
    return f"its clips were made with --{name} {before}; {remedy}"
