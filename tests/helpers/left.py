"""What a run left in its folder, to compare it with another run."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TIMING = ("steps_per_second", "clips_per_second", "data_wait", "memory_gb")


def same(one: object, other: object) -> bool:
    """Equality through tables and lists, bit for bit in tensors."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def state(folder: Path) -> dict[str, Any]:
    """What it goes on from, without which of its saves lie in history/."""
    found: dict[str, Any] = torch.load(folder / "state.pt", weights_only=True)
    return {name: value for name, value in found.items() if name != "history"}


def lines(folder: Path) -> list[dict[str, float]]:
    """The log, without what a clock says."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMING} for line in found]
