"""Training, for any system: data in, weights out; the same command goes on where it stopped.

Knows nothing of faces or sound: what it trains is a `Trainable`, what it feeds is whatever `batches` yields.
Randomness and data are functions of (seed, step, process), so "4 steps" equals "2 steps, resume, 2 steps", bit for bit
on the CPU.
"""

import filecmp
import logging
import math
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from core.atomic import remove_unfinished, save_atomically
from core.errors import Mismatch, Stopped, Unreadable

from .checkpoint import load_state, step_of
from .clock import Clock
from .compiling import compiler_problem
from .config import changes, to_dict
from .device import peak_memory
from .distributed import Group
from .ema import Ema
from .logger import NAMES, Evaluation, Log
from .signals import Interrupt
from .storage import Store
from .throughput import Pace
from .train_config import TrainConfig
from .train_step import Outcome, Trainable, Update, micro_batches

__all__ = ["Evaluation", "TrainConfig", "Trainable", "Trainer"]

NOTES = logging.getLogger(__name__)
B = TypeVar("B")
ANEW = "move it away to begin anew, or choose another --output"
VERSION = 2  # of the layout of state.pt
FREE = (
    "steps", "minutes", "keep", "save_every", "save_minutes", "log_every", "evaluate_every", "compile",
    "gradient_checkpointing",
)  # fmt: skip
"""Settings of a TrainConfig that a run may change when it goes on without becoming another one."""
MOST_STEPS = 10**12
SAID_EVERY = 60.0  # seconds
PUBLISHED = re.compile(r"(\d{7,})\.safetensors")  # in history/
Batches = Callable[[range], Iterator[B]]
Publish = Callable[[Path, int, dict[str, Tensor]], None]
Evaluate = Callable[[int, dict[str, Tensor]], Evaluation]


@runtime_checkable
class Checkpointing(Protocol):
    """A module that can compute its activations twice instead of keeping them."""

    gradient_checkpointing: bool

    def compile(self) -> None: ...


class Trainer(Generic[B]):
    """Runs a Trainable from the last saved step to `config.steps`.

    batches   (indices) -> the micro-batches with these indices, in this order; each the same whoever asks for it
    folder    a run's own: a path on a disk, or gs://... or az://... as a path.  Gets
                  state.pt                      all that the same command needs to go on
                  weights.safetensors           the average of the first rate, by `publish`
                  weights-RATE.safetensors      of each other rate
                  history/STEP.safetensors      the first rate's of the last `config.keep` saves
                  log.jsonl tensorboard/ strips/
    averaged  the part of the trainable (or all of it) whose averages are kept and published
    identity  what the state belongs to (system and config); another one's state is refused
    upgraded  an identity as an older version of the program saved it -> as this one would
    settings  all else that the run was told (its objective, its data); others than before are named in a warning
    publish   (path, step, EMA weights) -> None: writes a checkpoint, whole or not at all
    evaluate  (step, EMA weights of the first rate) -> what was measured, every config.evaluate_every steps

    Of several processes only rank 0 averages, evaluates, logs and writes; all of them read the folder when they start.
    Raises BadInput if the folder holds another run's state, or the processes do not see the same one.
    """

    def __init__(
        self,
        trainable: Trainable[B],
        batches: Batches[B],
        config: TrainConfig,
        folder: Path,
        *,
        averaged: nn.Module,
        identity: dict[str, Any],
        upgraded: Callable[[dict[str, Any]], dict[str, Any]] = lambda identity: identity,
        publish: Publish,
        settings: Mapping[str, Any] = MappingProxyType({}),
        evaluate: Evaluate | None = None,
        device: torch.device | str = "cpu",
        group: Group = Group(),  # noqa: B008
    ) -> None:
        self.config, self.group, self.averaged = config, group, averaged
        self.batches, self.publish, self.evaluate = batches, publish, evaluate
        self.identity, self.upgraded = {"version": VERSION} | identity, upgraded
        fixed = {name: value for name, value in to_dict(config).items() if name not in FREE}
        self.settings = {"train": fixed, **settings}
        self.device = torch.device(device)
        self.store = Store(folder)
        self._arrange(cast(nn.Module, trainable))
        self.update = Update(trainable, config, self.device, group)
        self.emas = [Ema(averaged, rate) for rate in config.ema] if group.main else []
        self.step = 0
        self.clock = Clock(config.minutes, group)
        self._said = self._saved = time.monotonic()
        self._history: list[str] = []  # what this run, as far as it is saved, has put into history/
        self._resume()

    def _arrange(self, module: nn.Module) -> None:
        """What the config says about how, not what, networks compute that leave it open (the UNets do)."""
        if not any(part is self.averaged for part in module.modules()):
            raise ValueError("what is averaged must be a part of what is trained")
        problem = compiler_problem(self.device) if self.config.compile else None
        if problem is not None:
            NOTES.warning("train.compile has no effect: torch's compiler does not work here (%s)", problem)
        for part in module.modules():
            if isinstance(part, Checkpointing):
                part.gradient_checkpointing = self.config.gradient_checkpointing
                if self.config.compile and problem is None:
                    part.compile()

    def run(self) -> None:
        """Trains to the end; saves on the way and at the end; never what a failed step left.

        A signal to stop lets the running step finish, on all processes, saves it and raises Stopped.
        """
        with Interrupt() as interrupt, self._log() as log, self._bar() as bar:
            batches = self.batches(micro_batches(self.config, self.group, self.step))
            pace = self._pace()
            while (share := self.clock.share()) < 1 and self.step < self.config.steps:
                begin = time.monotonic()
                outcome = self.update(batches, self.step, interrupt, share)
                self.step += 1
                for ema in self.emas:
                    ema.update(self.averaged)
                pace.add(time.monotonic() - begin, outcome.waited)
                bar.update()
                if log is not None:
                    self._tell(log, outcome, pace, bar)
                if self.step % self.config.log_every == 0:
                    pace = self._pace()
                if self._due(self.config.save_every) or self._long_unsaved() or outcome.stopping:
                    self.save(log)
                if outcome.stopping and self.step < self.config.steps:
                    raise Stopped(f"stopped and saved after step {self.step}; the same command goes on from there")
            if self.clock.minutes and self.step < self.config.steps:
                self.save(log)

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.steps

    def _long_unsaved(self) -> bool:
        """Of one process's clock: the others save nothing."""
        return 0 < 60 * self.config.save_minutes < time.monotonic() - self._saved

    def _log(self) -> "Log | nullcontext[None]":
        if not self.group.main:
            return nullcontext()
        self.store.fetch(NAMES[0])
        return Log(self.store.folder, self.step)

    def _bar(self) -> "tqdm[Any]":
        quiet = None if self.group.main else True
        return tqdm(total=self.config.steps, initial=self.step, unit="step", disable=quiet)

    def _pace(self) -> Pace:
        return Pace(self.config.batch * self.config.accumulate * self.group.size)

    def _tell(self, log: Log, outcome: Outcome, pace: Pace, bar: "tqdm[Any]") -> None:
        log.add(outcome.figures)
        if self.step % self.config.log_every == 0:
            figures = log.flush(self.step, pace.figures() | {"memory_gb": peak_memory(self.device)})
            bar.set_postfix(figures)
            if bar.disable and time.monotonic() - self._said > SAID_EVERY:  # no terminal: a line now and then
                self._said = time.monotonic()
                line = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
                tqdm.write(f"step {self.step} of {self.config.steps}: {line}", file=sys.stderr)
        if self.evaluate is not None and self.step % self.config.evaluate_every == 0:
            log.evaluation(self.step, self.evaluate(self.step, self.emas[0].weights))

    def save(self, log: Log | None = None) -> None:
        """Publishes the averages, then writes state.pt atomically: what is published is never older than the state."""
        if not self.group.main:
            return
        names = ["weights.safetensors", *(f"weights-{rate}.safetensors" for rate in self.config.ema[1:])]
        for name, ema in zip(names, self.emas, strict=True):
            self.publish(self.store.folder / name, self.step, ema.weights)
            self.store.keep(name)
        self._remember(names[0])
        if log is not None:
            log.sync()
            for name in NAMES:
                self.store.keep(name)
        state = {
            "step": self.step,
            "identity": self.identity,
            "settings": self.settings,
            "seconds": self.clock.seconds if self.config.minutes else 0.0,
            "history": self._history,
            "emas": {str(ema.rate): {"weights": ema.weights, "updates": ema.updates} for ema in self.emas},
        } | self.update.state()
        save_atomically(self.store.folder / "state.pt", lambda path: torch.save(state, path))
        self.store.keep("state.pt")
        self._saved = time.monotonic()

    def _remember(self, name: str) -> None:
        """Copies published weights into history/, where the last `config.keep` stay."""
        if not self.config.keep:
            return
        copy = f"history/{self.step:07d}.safetensors"
        save_atomically(self.store.folder / copy, lambda path: shutil.copyfile(self.store.folder / name, path))
        self.store.keep(copy)
        self._history = [*(name for name in self._history if name != f"{self.step:07d}.safetensors"), Path(copy).name]
        for old in self._history[: -self.config.keep]:
            self.store.remove(f"history/{old}")
        self._history = self._history[-self.config.keep :]

    def _resume(self) -> None:
        path = self.store.fetch("state.pt")
        if self.group.main:
            remove_unfinished(self.store.folder)
            remove_unfinished(self.store.folder / "history")
        if path.exists():
            name = str(self.store.place / "state.pt")
            self._load(load_state(path, name), name)
        self._check_history()
        if self.group.total(self.step) != self.step * self.group.size:
            raise Mismatch(
                f"{self.store.place}: the processes find different steps there; choose an --output that all of them see"
            )

    def _check_history(self) -> None:
        """BadInput if somebody else's file lies where earlier weights are to go."""
        for name in self.store.names("history") if self.store.remote is None else ():
            match, path = PUBLISHED.fullmatch(name), self.store.folder / "history" / name
            if not match or int(match[1]) <= self.step or step_of(path) == int(match[1]):
                continue
            published = self.store.folder / "weights.safetensors"  # what a run published that was killed a moment later
            if not (published.exists() and filecmp.cmp(path, published, shallow=False)):
                raise Mismatch(f"{path}: was not made by this run; move it away, or choose another --output")

    def _load(self, state: dict[str, Any], where: str) -> None:
        try:
            self._restore(state, where)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as problem:
            raise Unreadable(f"{where}: is no whole state of a run ({problem}); {ANEW}") from problem

    def _restore(self, state: dict[str, Any], where: str) -> None:
        if self.upgraded(state["identity"]) != self.identity:
            raise Mismatch(
                f"{where}: was made with another system, config or version of this program; choose another --output"
            )
        if changed := changes(state.get("settings", {}), self.settings):
            NOTES.warning("%s: goes on with other settings than before: %s", where, ", ".join(changed))
        for ema in self.emas:
            if str(ema.rate) not in state["emas"]:
                raise Mismatch(
                    f"{where}: holds no average of rate {ema.rate}; keep train.ema among {', '.join(state['emas'])}"
                )
            ema.load(**state["emas"][str(ema.rate)])
        self.update.load(state, where)
        self.step, self.clock.before = state["step"], float(state.get("seconds", 0.0))
        if not (isinstance(self.step, int) and 0 <= self.step <= MOST_STEPS and 0 <= self.clock.before < math.inf):
            raise ValueError(f"step {self.step} after {self.clock.before} s")
        self._history = list(state.get("history", [name for name in self.store.names("history") if self._is_old(name)]))
        if not all(isinstance(name, str) and PUBLISHED.fullmatch(name) for name in self._history):
            raise ValueError(f"history {self._history}")

    def _is_old(self, name: str) -> bool:
        """Whether a run that noted no names, of an earlier version of this program, put this into history/."""
        match = PUBLISHED.fullmatch(name)
        ours = match is not None and int(match[1]) <= self.step
        return ours and (self.store.remote is not None or step_of(self.store.folder / "history" / name) is not None)
