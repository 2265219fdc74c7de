"""What became of every video, clip by clip: report.jsonl in a prepared folder, by which an interrupted run goes on.

    {"size": 128}
    {"source": "ann/a.mp4", "begin": 0.0, "seconds": 3.2, "frames": 80, "face": 143, "clip": "train/ann/a__000.npz"}
    {"source": "ann/a.mp4", "begin": 3.4, "seconds": 0.4, "frames": 10, "face": 140, "skipped": "shorter than 1 s"}
    {"source": "ann/a.mp4", "finished": true, "clips": 1}
    {"source": "bob/b.mp4", "failed": "bob/b.mp4: the file is empty; export or copy it again"}

begin and seconds are of the video.  offset and confidence are there where sound and lips were compared, warnings where
the video is cut off or damaged and was used as far as it goes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.atomic import atomic
from core.errors import Mismatch, Unreadable

Line = Mapping[str, object]
BEGIN = '{"source": "'  # of each line but the first


class Report:
    """The report of one prepared folder, continued where it stopped."""

    def __init__(self, folder: Path, size: int) -> None:
        """Raises BadInput if the folder has been prepared for faces of another size."""
        self.path = folder / "report.jsonl"
        lines = _lines(self.path)
        before = lines[0].get("size", size) if lines else size
        if before != size:
            raise Mismatch(f"{folder}: holds faces of {before} px; pass --size {before}, or another --output")
        self.finished = {line["source"] for line in lines if line.get("finished")}
        finished = [line for line in lines if line.get("source") in self.finished]
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(self.path) as temporary:  # a line that a kill cut short goes, and what failed is tried again
            temporary.write_text(_text([{"size": size}, *finished]), encoding="utf-8")

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
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_text(lines))


def _lines(path: Path) -> list[dict[str, object]]:
    """The lines of a report, without one that was cut short at its end.  BadInput if it is something else."""
    texts = path.read_bytes().decode(errors="replace").splitlines() if path.exists() else []
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


def _text(lines: Sequence[Line]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
