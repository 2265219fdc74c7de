"""How fast a run goes, and what it waits for."""

from dataclasses import dataclass


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
