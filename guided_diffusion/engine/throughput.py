"""How fast a run goes, what it waits for, and how long a piece of work takes."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass
class Pace:
    """Sums over the steps since it was made.  clips: items of a step, over all processes."""

    clips: int
    steps: int = 0
    spent: float = 0.0
    waited: float = 0.0

    def add(self, spent: float, waited: float) -> None:
        """One step: the seconds it took, and those of them it waited for data."""
        self.steps, self.spent, self.waited = self.steps + 1, self.spent + spent, self.waited + waited

    def figures(self) -> dict[str, float]:
        """data_wait is a share: near 1, the workers that make batches are too few, and the device starves."""
        return {
            "steps_per_second": self.steps / self.spent,
            "clips_per_second": self.steps * self.clips / self.spent,
            "data_wait": self.waited / self.spent,
        }


def medians(ways: Mapping[str, Callable[[], object]], runs: int, device: torch.device) -> dict[str, float]:
    """Seconds of each way: the median of interleaved runs after one to warm up."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs + 1):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if run:
                spent[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in spent.items()}
