"""Training, for any system: data in, weights out; the same command goes on where it stopped.

Knows nothing of faces or sound: what it trains is a `Trainable`, what it feeds is whatever `batches` yields.
Randomness is a function of (seed, step), so "4 steps" equals "2 steps, resume, 2 steps", bit for bit on the CPU.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from errors import BadInput

from .checkpoint import save_atomically
from .config import to_dict
from .ema import Ema
from .log import Log

B = TypeVar("B")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class TrainConfig:
    """How to train.  The learning rate rises over `warmup` steps and falls to 0 over the last `cooldown`."""

    steps: int = 300_000
    batch: int = 32
    accumulate: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup: int = 0
    cooldown: int = 0
    clip_norm: float = 1.0
    ema: float = 0.9999
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: int = 0
    save_every: int = 1000
    log_every: int = 50
    evaluate_every: int = 1000

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.accumulate, self.save_every, self.log_every, self.evaluate_every) < 1:
            raise ValueError("steps, batch, accumulate and every interval must be at least 1")
        if self.warmup + self.cooldown > self.steps:
            raise ValueError(f"warmup {self.warmup} + cooldown {self.cooldown} exceed {self.steps} steps")

    def rate(self, step: int) -> float:
        """The learning rate of a 0-based step."""
        rise = (step + 1) / self.warmup if step < self.warmup else 1.0
        fall = (self.steps - step) / self.cooldown if step > self.steps - self.cooldown else 1.0
        return self.learning_rate * min(rise, fall)


@dataclass(frozen=True)
class Objective(Generic[B]):
    """What one optimiser minimises: the sum of the named terms, each already weighted."""

    parameters: list[nn.Parameter]
    losses: Callable[[B, Generator], Mapping[str, Tensor]]


class Trainable(Protocol[B]):
    """A module with one or more objectives, each with an optimiser of its own."""

    def objectives(self) -> dict[str, Objective[B]]: ...


class Trainer(Generic[B]):
    """Runs a Trainable from the last saved step to `config.steps`.

    batches   (first micro-step) -> an endless iterator, the same for the same first micro-step
    folder    gets state.pt (atomic) and log.jsonl
    identity  what the state belongs to (system and config); another one's state is refused
    publish   (step, EMA weights) -> None, called whenever state is saved
    evaluate  (step, EMA weights) -> figures to log, called every config.evaluate_every steps
    """

    def __init__(
        self,
        module: nn.Module,
        objectives: dict[str, Objective[B]],
        batches: Callable[[int], Iterator[B]],
        config: TrainConfig,
        folder: Path,
        *,
        identity: dict[str, Any],
        publish: Callable[[int, dict[str, Tensor]], None],
        evaluate: Callable[[int, dict[str, Tensor]], Mapping[str, float]] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.module, self.config, self.folder = module, config, folder
        self.batches, self.publish, self.evaluate = batches, publish, evaluate
        self.identity, self.device = identity, torch.device(device)
        self.objectives = objectives
        self.ema = Ema(module, config.ema)
        self.optimizers = {
            name: torch.optim.AdamW(o.parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
            for name, o in objectives.items()
        }
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.step = 0
        self._whole = True  # False while a step is half done
        self._resume()

    @property
    def state_path(self) -> Path:
        return self.folder / "state.pt"

    def run(self) -> None:
        """Trains to the end; saves on the way, at the end, and when interrupted; never what a failed step left."""
        log = Log(self.folder / "log.jsonl", self.step)
        batches = self.batches(self.step * self.config.accumulate)
        bar = tqdm(total=self.config.steps, initial=self.step, unit="step", disable=None)
        steps, spent, waited = 0, 0.0, 0.0                              # since the last line of the log
        try:
            while self.step < self.config.steps:
                begin = time.monotonic()
                waited += self._step(batches, log)
                steps, spent = steps + 1, spent + time.monotonic() - begin
                bar.update()
                if self.step % self.config.log_every == 0:
                    speed = {"steps_per_second": steps / spent, "data_wait": waited / spent}
                    bar.set_postfix(log.flush(self.step, speed))
                    steps, spent, waited = 0, 0.0, 0.0
                if self.evaluate is not None and self.step % self.config.evaluate_every == 0:
                    log.write(self.step, self.evaluate(self.step, self.ema.weights))
                if self.step % self.config.save_every == 0:
                    self.save()
        except KeyboardInterrupt:
            if self._whole:
                self.save()
            raise
        finally:
            bar.close()
        self.save()

    def _step(self, batches: Iterator[B], log: Log) -> float:
        """One optimiser step of every objective.  Returns the seconds spent waiting for data."""
        waited = 0.0
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = self.config.rate(self.step)
        for i in range(self.config.accumulate):
            begin = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - begin
            for name, objective in self.objectives.items():
                self._backward(name, objective, batch, self.step * self.config.accumulate + i, log)
        for name, objective in self.objectives.items():
            self.scaler.unscale_(self.optimizers[name])
            norm = nn.utils.clip_grad_norm_(objective.parameters, self.config.clip_norm)
            if norm.isfinite():
                log.add({f"{name}/gradient_norm": float(norm)})
            elif self.config.precision != "fp16":                       # where the scaler skips the step and backs off
                raise self._diverged(f"gradient of {name}")
        self._whole = False
        for optimizer in self.optimizers.values():
            self.scaler.step(optimizer)
        self.scaler.update()
        self.step += 1
        self.ema.update(self.module)
        self._whole = True
        return waited

    def _backward(self, name: str, objective: Objective[B], batch: B, micro_step: int, log: Log) -> None:
        generator = Generator().manual_seed(self.config.seed * 1_000_003 + micro_step)
        with torch.autocast(
            self.device.type, PRECISIONS[self.config.precision], enabled=self.config.precision != "fp32"
        ):
            terms = objective.losses(batch, generator)
        for term, value in terms.items():
            if not value.isfinite():
                raise self._diverged(f"loss {name}/{term}")
        log.add({f"{name}/{term}": float(value.detach()) for term, value in terms.items()})
        total = torch.stack(list(terms.values())).sum() / self.config.accumulate
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]

    def _diverged(self, what: str) -> BadInput:
        return BadInput(
            f"step {self.step}: the {what} is not finite; go on from the last saved step"
            f" with a lower --set train.learning_rate than {self.config.learning_rate:g}"
        )

    def save(self) -> None:
        """Writes state.pt atomically and publishes the EMA weights."""
        state = {
            "step": self.step,
            "identity": self.identity,
            "config": to_dict(self.config),
            "weights": self.module.state_dict(),
            "ema": self.ema.weights,
            "ema_updates": self.ema.updates,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "scaler": self.scaler.state_dict(),
        }
        save_atomically(self.state_path, lambda path: torch.save(state, path))
        self.publish(self.step, self.ema.weights)

    def _resume(self) -> None:
        if not self.state_path.exists():
            return
        state = torch.load(self.state_path, map_location=self.device, weights_only=True)
        if state["identity"] != self.identity:
            raise BadInput(f"{self.state_path}: was made with another system or config; choose another --output")
        self.module.load_state_dict(state["weights"])
        self.ema.load(state["ema"], state["ema_updates"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]
