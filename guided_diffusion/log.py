"""A loss log: one JSON object a line, means over the steps since the last line."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path


class Log:
    """Appends to a file.  Lines of steps after `step`, and one torn by a crash, are dropped first."""

    def __init__(self, path: Path, step: int = 0) -> None:
        self.path = path
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("}\n")]
            path.write_text("".join(line for line in whole if json.loads(line)["step"] <= step))

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._sums[name] += value
            self._counts[name] += 1

    def flush(self, step: int, extra: Mapping[str, float] | None = None) -> dict[str, float]:
        """Writes the means of what was added since the last call, and forgets it."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()} | dict(extra or {})
        self._sums.clear()
        self._counts.clear()
        self.write(step, means)
        return means

    def write(self, step: int, values: Mapping[str, float]) -> None:
        with self.path.open("a") as file:
            rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
            file.write(json.dumps({"step": step} | rounded) + "\n")
