"""A toy of two objectives that play against each other; run as a program, it trains in the group it was started in.

python tests/helpers/adversarial.py FOLDER [train settings as JSON] [seconds that a step takes]
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Generator, Tensor, nn
from torch.func import functional_call

from guided_diffusion.engine.trainer import Evaluation, TrainConfig, Trainer
from tests.helpers.seeded import seeded

FOUR = TrainConfig(
    steps=4, batch=4, learning_rate=0.01, ema=(0.9,), weight_decay=0.1, log_every=1, save_every=100, evaluate_every=100
)
IDENTITY = {"system": "toy", "config": {"widths": (1, 2)}}


class Toy(nn.Module):
    """A network that fits a batch [b, 3] with noise and dropout, and a judge that tells its output from the truth."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(3):
            self.network = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 2))
            self.judge = nn.Linear(2, 1)
            self.fixed = nn.Linear(2, 2)

    def objectives(self) -> dict[str, list[nn.Parameter]]:
        return {"network": list(self.network.parameters()), "judge": list(self.judge.parameters())}

    def losses(self, batch: Tensor, generator: Generator) -> dict[str, dict[str, Tensor]]:
        truth = self.fixed(batch[:, :2]) + 0.1 * torch.randn(len(batch), 2, generator=generator)
        made = self.network(batch)
        frozen = {name: value.detach() for name, value in self.judge.named_parameters()}
        return {
            "network": {"fit": ((made - truth) ** 2).mean(), "fool": -functional_call(self.judge, frozen, made).mean()},
            "judge": {"tell": self.judge(made.detach()).mean() - self.judge(truth).mean()},
        }


def batch(index: int, size: int = 4) -> Tensor:
    return torch.randn(size, 3, generator=Generator().manual_seed(index))


class Batches:
    """The batches by their numbers, for worker processes."""

    def __getitem__(self, index: int) -> Tensor:
        return batch(index)


def batches(indices: Iterable[int]) -> Iterator[Tensor]:
    return (batch(index) for index in indices)


def publish(path: Path, step: int, weights: Mapping[str, Tensor]) -> None:
    save_file(dict(weights) | {"step": torch.tensor(step)}, path)


def trainer(folder: Path, config: TrainConfig = FOUR, *, module: Any = None, **others: Any) -> Trainer[Tensor]:
    module = module or Toy()
    given = {"averaged": module.network, "identity": IDENTITY, "publish": publish, "batches": batches} | others
    return Trainer(module, given.pop("batches"), config, folder, **given)


def measured(step: int, weights: dict[str, Tensor]) -> Evaluation:
    return Evaluation({"norm": float(sum(value.norm() for value in weights.values()))})


def main(folder: Path, settings: str = "{}", seconds: str = "0") -> int:
    from core.errors import LipSyncError
    from guided_diffusion.engine.distributed import group

    def slowly(indices: range) -> Iterator[Tensor]:
        print("ready", flush=True)  # asked for its first batch, a run already obeys signals
        for index in indices:
            time.sleep(float(seconds))
            yield batch(index)

    changes = json.loads(settings)
    poison = changes.pop("poison", None)

    def poisoned(indices: range) -> Iterator[Tensor]:
        return (batch(index) * (float("nan") if index == poison else 1) for index in indices)

    try:
        with group() as own:
            run = trainer(
                folder, replace(FOUR, **changes), group=own, device=own.device("cpu"), evaluate=measured,
                batches=slowly if poison is None else poisoned,
            )  # fmt: skip
            run.run()
    except LipSyncError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
