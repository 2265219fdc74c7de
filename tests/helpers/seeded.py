"""Fresh networks draw their weights from torch's one global generator: here, with a seed that nobody else sees."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(number: int = 0) -> Iterator[None]:
    """The global generator starts from `number` within, and goes on as if nothing had been drawn after."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(number)
        yield
