"""What a run tells: figures as JSON lines and in TensorBoard, pictures as PNG files and there."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from core.atomic import save_atomically
from core.errors import Unreadable

NAMES = ("log.jsonl", "tensorboard", "strips")  # what a log puts into its folder

BEGIN = '{"step": '  # of each line


@dataclass(frozen=True)
class Evaluation:
    """What was measured on held-out data.  picture u8 [h, w, 3] RGB: a strip of samples to look at."""

    figures: Mapping[str, float]
    picture: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        p = self.picture
        if p is not None and (p.dtype != np.uint8 or p.ndim != 3 or p.shape[2] != 3):
            raise ValueError(f"a picture is u8 [h, w, 3], not {p.dtype} {p.shape}")


class Log:
    """Figures of steps: one JSON object a line in log.jsonl, means over the steps since the last line; TensorBoard.

    Goes on after `step`: later lines, and one torn by a crash, are dropped first; TensorBoard hides what came later.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second to load, which programs that only sample save

        self.folder, self.path = folder, folder / "log.jsonl"
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            text = "".join(line for line in _lines(self.path) if json.loads(line)["step"] <= step)
            save_atomically(self.path, lambda path: path.write_text(text))
        self._board = SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._board.close()

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
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def evaluation(self, step: int, found: Evaluation) -> None:
        """Writes the figures; the picture becomes strips/STEP.png."""
        self.write(step, found.figures)
        if found.picture is not None:
            path = self.folder / "strips" / f"{step:07d}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(cv2.imencode(".png", found.picture[..., ::-1])[1].tobytes())
            self._board.add_image("strip", found.picture, step, dataformats="HWC")

    def sync(self) -> None:
        """Everything told so far is in the files."""
        self._board.flush()


def _lines(path: Path) -> list[str]:
    """The whole lines of a log, without one that a crash tore.  BadInput if it is no log of a run."""
    lines = path.read_bytes().decode(errors="replace").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n") and (lines[-1].startswith(BEGIN) or BEGIN.startswith(lines[-1])):
        lines.pop()
    for number, line in enumerate(lines, 1):
        try:
            known = isinstance(json.loads(line)["step"], int)
        except (ValueError, TypeError, KeyError, RecursionError):
            known = False
        if not known:
            raise Unreadable(f"{path}, line {number}: is no line of a log; move it away, or choose another --output")
    return lines
