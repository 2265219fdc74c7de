"""The time that a run is given, for runs that end by the clock."""

import time
from dataclasses import dataclass, field

from .distributed import Group


@dataclass
class Clock:
    """Counts from when it is made; before: seconds that the run had when it was saved.  minutes 0: there is no end."""

    minutes: float
    group: Group
    before: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """That the run has had in all."""
        return self.before + time.monotonic() - self.began

    def share(self) -> float:
        """Of the time, how much is gone, 0 to 1; the same on every process: their mean."""
        if not self.minutes:
            return 0.0
        return min(self.group.total(self.seconds) / self.group.size / (60 * self.minutes), 1.0)
