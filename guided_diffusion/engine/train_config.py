"""How to train: everything about a run that is neither the model nor the data."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainConfig:
    """The defaults are guided-diffusion's, where the papers say nothing.

    steps                   updates of the weights
    minutes                 ends after so many of them instead, on the clock, from the start of the program on (a run
                            that goes on counts what it had); 0: by steps.  Saving the end comes on top
    batch                   items of one micro-batch, on one process; a step sees batch x accumulate x processes of them
    accumulate              micro-batches that each process sums the gradients of before a step
    warmup, cooldown        the learning rate rises over the first and falls to 0 over the last so many steps
    falling                 with minutes, the last share of the time over which it falls to 0, in place of cooldown
    clip_norm               each objective's gradient is shortened to this norm
    ema                     rates of the averages of the weights: all are kept and published, the first is evaluated
    precision               of matrix products and convolutions; the weights and their averages stay float32
    gradient_checkpointing  computes the UNets' activations twice instead of keeping them: less memory, more time
    compile                 compiles the UNets' blocks, each kind once, at the first step: then faster steps on a GPU
    save_every              steps between two saved states
    save_minutes            it is also saved when so many minutes have gone by since; 0: only by steps
    keep                    published weights of so many earlier saves stay in history/, to go back to; 0 for none
    """

    steps: int = 300_000
    minutes: float = 0.0
    batch: int = 32
    accumulate: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup: int = 0
    cooldown: int = 0
    falling: float = 0.45
    clip_norm: float = 1.0
    ema: tuple[float, ...] = (0.9999,)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    gradient_checkpointing: bool = False
    compile: bool = False
    seed: int = 0
    save_every: int = 1000
    save_minutes: float = 10.0
    keep: int = 5
    log_every: int = 50
    evaluate_every: int = 1000

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.accumulate, self.save_every, self.log_every, self.evaluate_every) < 1:
            raise ValueError("steps, batch, accumulate and every interval must be at least 1")
        for name in ("keep", "save_minutes", "warmup", "cooldown", "learning_rate", "weight_decay", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is 0 or more, not {getattr(self, name)}")
        if self.seed >= 2**32:
            raise ValueError(f"seed is below 2^32, not {self.seed}")
        if not self.clip_norm > 0:
            raise ValueError(f"clip_norm is above 0, not {self.clip_norm}")
        if self.minutes < 0 or not 0 <= self.falling <= 1:
            raise ValueError("minutes are 0 or more, falling is a share from 0 to 1")
        if self.warmup + self.cooldown > self.steps:
            raise ValueError(f"warmup {self.warmup} + cooldown {self.cooldown} exceed {self.steps} steps")
        if not self.ema or len(set(self.ema)) < len(self.ema) or not all(0 <= rate < 1 for rate in self.ema):
            raise ValueError(f"ema is one or more different rates in [0, 1), such as [0.9999, 0.999], not {self.ema}")

    def rate(self, step: int, share: float = 0.0) -> float:
        """The learning rate of a 0-based step, when so large a share of the minutes is gone, if there are any."""
        rise = (step + 1) / self.warmup if step < self.warmup else 1.0
        if self.minutes:
            return self.learning_rate * min(rise, (1 - share) / self.falling if share > 1 - self.falling else 1.0)
        fall = (self.steps - step) / self.cooldown if step > self.steps - self.cooldown else 1.0
        return self.learning_rate * min(rise, fall)
