"""An exponential moving average of weights: what is sampled from and shipped."""

import torch
from torch import Tensor, nn


class Ema:
    """The average of a module's parameters, float32.  Buffers are taken as they are.

    The rate warms up as min(rate, (1 + n) / (10 + n)), so that a short run is not dominated by its start.
    """

    def __init__(self, module: nn.Module, rate: float = 0.9999) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"an EMA rate lies in [0, 1), not {rate}")
        self.rate, self.updates = rate, 0
        self.averaged = {name for name, _ in module.named_parameters(remove_duplicate=False)}
        self.weights = {name: value.detach().float().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.updates += 1
        rate = min(self.rate, (1 + self.updates) / (10 + self.updates))
        values = module.state_dict()
        own = [self.weights[name] for name in values if name in self.averaged]
        torch._foreach_lerp_(own, [value.float() for name, value in values.items() if name in self.averaged], 1 - rate)
        for name in values.keys() - self.averaged:
            self.weights[name].copy_(values[name])

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor], updates: int) -> None:
        """Goes on from a saved average, on the device of this one.  Raises KeyError if a name is missing."""
        for name, value in self.weights.items():
            value.copy_(weights[name])
        self.updates = updates
