"""The smallest thing that can be trained."""

import torch
from torch import nn


class Line(nn.Module):
    """Learns to say 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def objectives(self) -> dict[str, list[nn.Parameter]]:
        return {"line": [self.weight]}

    def losses(self, batch: torch.Tensor, generator: torch.Generator) -> dict[str, dict[str, torch.Tensor]]:
        return {"line": {"l2": (self.weight - batch).square().mean()}}
