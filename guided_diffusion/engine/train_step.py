"""One step of training: the gradients of all processes, clipped and checked, then every optimiser."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Generator, Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.errors import BadInput, Mismatch

from .checkpoint import load_strictly
from .device import PRECISIONS, autocast
from .distributed import Group
from .train_config import TrainConfig

B = TypeVar("B")
Batch = TypeVar("Batch", contravariant=True)
GLOBAL_STREAM = 1 << 40  # added to the seed of what draws from torch's global generator, such as dropout


class Trainable(Protocol[Batch]):
    """What can be trained: an nn.Module (its state_dict is what a resumed run needs) with one or more objectives."""

    def objectives(self) -> dict[str, list[nn.Parameter]]:
        """Disjoint groups of parameters, an optimiser each.  A parameter in none of them stays as it is."""
        ...

    def losses(self, batch: Batch, generator: Generator) -> Mapping[str, Mapping[str, Tensor]]:
        """Objective -> term -> its weighted scalar, a mean over the batch.  generator: of the device that trains.

        All terms are summed and differentiated at once, so no term of one objective may reach the parameters of
        another.  Every parameter of an objective takes part in each call; every process sees the same terms.
        """
        ...


@runtime_checkable
class Timed(Protocol):
    """A Trainable whose objective changes in the course of a run: a function of the step, so that it resumes."""

    def begin(self, step: int) -> None:
        """Called before each step, on every process."""
        ...


@dataclass(frozen=True)
class Tuning:
    """Of one objective: its learning rate, times the config's, and the betas of its AdamW."""

    learning_rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)


@runtime_checkable
class Tuned(Protocol):
    """A Trainable of which some objectives are not tuned like the others."""

    def tuning(self) -> Mapping[str, Tuning]:
        """Objective -> how; one that is missing is tuned by the config alone."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a step says of itself, as means over all processes and micro-batches.

    figures   objective/term and objective/gradient_norm (before clipping; absent if fp16 overflowed)
    waited    seconds spent waiting for data
    stopping  some process was asked to stop
    """

    figures: dict[str, float]
    waited: float
    stopping: bool


class Losses(nn.Module):
    """A trainable as a module whose forward is its losses: what DistributedDataParallel wants."""

    def __init__(self, trainable: nn.Module) -> None:
        super().__init__()
        self.trainable = trainable

    def forward(self, batch: object, generator: Generator) -> Mapping[str, Mapping[str, Tensor]]:
        return cast(Trainable[object], self.trainable).losses(batch, generator)


def micro_batches(config: TrainConfig, group: Group, step: int) -> range:
    """The indices of a process's micro-batches, from a step to the last: (step * accumulate + i) * size + rank.

    Data and randomness are functions of that index, so 1 process that accumulates 2 does what 2 processes do that
    accumulate 1, up to rounding.
    """
    per_step = config.accumulate * group.size
    return range(step * per_step + group.rank, config.steps * per_step, group.size)


class Update(Generic[B]):
    """Steps a Trainable on the micro-batches that `micro_batches` numbers.

    Every process ends a step with the same weights; buffers, such as a BatchNorm's statistics, are rank 0's.
    """

    def __init__(self, trainable: Trainable[B], config: TrainConfig, device: torch.device, group: Group) -> None:
        self.module, self.config, self.device, self.group = cast(nn.Module, trainable), config, device, group
        self.objectives = _disjoint(trainable.objectives())
        owned = {parameter for parameters in self.objectives.values() for parameter in parameters}
        for parameter in self.module.parameters():
            parameter.requires_grad_(parameter in owned)
        tunings = self.module.tuning() if isinstance(self.module, Tuned) else {}
        self.tunings = {name: tunings.get(name, Tuning()) for name in self.objectives}
        self.optimizers = {
            name: torch.optim.AdamW(
                parameters,
                lr=config.learning_rate * self.tunings[name].learning_rate,
                betas=(float(self.tunings[name].betas[0]), float(self.tunings[name].betas[1])),
                weight_decay=config.weight_decay,
                fused=device.type == "cuda",
            )
            for name, parameters in self.objectives.items()
        }
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.losses: nn.Module = Losses(self.module)
        if group.size > 1:
            self.losses = DistributedDataParallel(self.losses)

    def __call__(
        self, batches: Iterator[B], step: int, interrupted: Callable[[], bool], share: float = 0.0
    ) -> Outcome:
        """Does a step, when so large a share of the time that the run is given is gone.

        Raises BadInput, on every process and before any weight changes, if something is not finite.
        """
        for name, optimizer in self.optimizers.items():
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = self.config.rate(step, share) * self.tunings[name].learning_rate
        if isinstance(self.module, Timed):
            self.module.begin(step)
        terms, waited = self._gradients(batches, step)
        logged = {name: value / self.config.accumulate for name, value in terms.items()} | self._clipped()
        values = torch.stack(list(logged.values())).tolist()             # waits for the device, once a step
        *values, waited, stopping = self.group.totals([*values, waited, float(interrupted())])
        figures = dict(zip(logged, (value / self.group.size for value in values), strict=True))
        self._check(figures, step)
        for optimizer in self.optimizers.values():
            self.scaler.step(optimizer)
        self.scaler.update()
        return Outcome(figures, waited / self.group.size, stopping > 0)

    def _gradients(self, batches: Iterator[B], step: int) -> tuple[dict[str, Tensor], float]:
        """Sums the gradients of this process's micro-batches; the last one also averages them over all processes."""
        sums: dict[str, Tensor] = {}
        indices = micro_batches(self.config, self.group, step)
        waited = 0.0
        for i in range(self.config.accumulate):
            begin = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - begin
            last = i == self.config.accumulate - 1
            with nullcontext() if last or self.group.size == 1 else self.losses.no_sync():  # type: ignore[operator]
                terms = self._terms(batch, indices[i])
                total = torch.stack(list(terms.values())).sum() / self.config.accumulate
                self.scaler.scale(total).backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value.detach()
        return sums, waited

    def _terms(self, batch: B, index: int) -> dict[str, Tensor]:
        """objective/term -> scalar, float32, of one micro-batch."""
        seed = self.config.seed * 1_000_003 + index
        torch.manual_seed(GLOBAL_STREAM + seed)
        with autocast(self.device, PRECISIONS[self.config.precision]):
            losses = self.losses(batch, Generator(self.device).manual_seed(seed))
        if losses.keys() != self.objectives.keys():
            raise ValueError(f"losses for {sorted(losses)}, but objectives {sorted(self.objectives)}")
        return {f"{name}/{term}": value.float() for name, terms in losses.items() for term, value in terms.items()}

    def _clipped(self) -> dict[str, Tensor]:
        """Shortens the gradient of each objective; its norm before that."""
        norms = {}
        for name, parameters in self.objectives.items():
            self.scaler.unscale_(self.optimizers[name])
            norms[f"{name}/gradient_norm"] = nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        return norms

    def _check(self, figures: dict[str, float], step: int) -> None:
        """Raises BadInput for the first figure that is not finite; a gradient that the scaler can mend is dropped."""
        for name in [name for name, value in figures.items() if not math.isfinite(value)]:
            objective, _, term = name.rpartition("/")
            is_gradient = term == "gradient_norm"
            if is_gradient and self.scaler.get_scale() > 1:             # fp16: this step is skipped, the scale halved
                del figures[name]
                continue
            what = f"gradient of {objective}" if is_gradient else f"loss {name}"
            raise BadInput(
                f"step {step}: the {what} is not finite; go on from the last saved step"
                f" with a lower --set train.learning_rate than {self.config.learning_rate:g}"
            )

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs besides the step."""
        return {
            "weights": self.module.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "scaler": self.scaler.state_dict(),
        }

    def load(self, state: dict[str, Any], where: str) -> None:
        """Raises BadInput, which names `where`, if the state is that of other weights or objectives."""
        load_strictly(self.module, state["weights"], where)
        for name, optimizer in self.optimizers.items():
            saved = state["optimizers"].get(name, {"param_groups": [{"params": ()}]})
            if len(saved["param_groups"][0]["params"]) != len(self.objectives[name]):
                raise Mismatch(f"{where}: there {name} trained other parameters; choose another --output")
            own = [
                {name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups
            ]
            optimizer.load_state_dict(saved)
            for group, settings in zip(optimizer.param_groups, own, strict=True):
                group.update(settings)
            _check_moments(optimizer)
        self.scaler.load_state_dict(state["scaler"])


def _check_moments(optimizer: torch.optim.Optimizer) -> None:
    """ValueError unless what the optimiser remembers of each parameter has its shape."""
    for parameter, state in optimizer.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            if not isinstance(state[name], Tensor) or state[name].shape != parameter.shape:
                raise ValueError(f"{name} of a parameter of shape {list(parameter.shape)} is another thing")
        if not 0 <= float(state["step"]) < math.inf:
            raise ValueError(f"an optimiser after {state['step']} steps")


def _disjoint(objectives: dict[str, list[nn.Parameter]]) -> dict[str, list[nn.Parameter]]:
    """The objectives.  Raises ValueError if one has no parameter, or two share one."""
    everything = [parameter for parameters in objectives.values() for parameter in parameters]
    if not all(objectives.values()) or len(set(everything)) < len(everything):
        raise ValueError(f"the objectives {', '.join(objectives)} must each have parameters, all of their own")
    return objectives
