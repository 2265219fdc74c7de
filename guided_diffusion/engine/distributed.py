"""Many processes, one program: started by torchrun, by mpiexec, by srun, or by nobody.

A lone process is rank 0 of 1, so no caller has to ask whether it is alone.
"""

import importlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from core.errors import BadInput, BadValue

from .device import resolve_device

T = TypeVar("T")
PATIENCE = timedelta(hours=2)  # for a rank that is still evaluating; one that died is noticed at once
LAUNCHERS = (                  # what each tells a process: its rank, how many there are, its rank on this machine
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),                                                 # torchrun
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),       # Open MPI
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),                                          # MPICH, Intel MPI
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),                            # srun (not the batch script)
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """The processes that work together, as one of them sees it.

    local_rank counts the processes of this machine, and chooses among its GPUs.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size or self.local_rank < 0:
            raise ValueError(f"there is no rank {self.rank} among {self.size} processes")

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of the items: neighbours stay together, no two parts differ by more than one in length.

        Every item is in exactly one process's part.  No process talks to another.
        """
        count = len(items)
        return items[count * self.rank // self.size : count * (self.rank + 1) // self.size]

    def total(self, number: float) -> float:
        """The sum of a number over all processes.  A collective: every process must call it, equally often."""
        return self.totals([number])[0]

    def totals(self, numbers: Sequence[float]) -> list[float]:
        """The sums of several numbers, in one collective; what is not finite on one process is so on all."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(sums)
        return sums.tolist()

    def device(self, name: str) -> torch.device:
        """The device that a name means for this process: `auto` and `cuda` give each process of a machine its own GPU.

        Counts among the GPUs that CUDA_VISIBLE_DEVICES shows, again from the first where processes are more than GPUs.
        Makes it torch's current one.  Raises BadInput for a device that is not there.
        """
        device = resolve_device(name)
        if device.type != "cuda":
            return device
        if device.index is None:
            device = torch.device("cuda", self.local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return device


@contextmanager
def group(patience: timedelta = PATIENCE) -> Iterator[Group]:
    """The group this process was started in; closed at the end.  patience: how long to wait for a rank that is at work.

    CPU tensors travel by gloo, CUDA tensors by nccl.  torchrun says where to meet; under mpiexec and srun that is
    MASTER_ADDR and MASTER_PORT if they are set, else it is agreed on through mpi4py, once in a process's life.
    Raises BadInput if the processes have no way to find each other.
    """
    own = from_environment(os.environ)
    if own.size == 1:
        yield own
        return
    store = None if {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys() else _meet(own, patience)
    importlib.import_module("torch.distributed.nn")  # imported later, its defaults would keep the group for ever
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, store=store, rank=own.rank, world_size=own.size, timeout=patience)
    try:
        yield own
    finally:
        distributed.destroy_process_group()


def from_environment(variables: Mapping[str, str]) -> Group:
    """What the launcher tells this process of itself; alone if there was none.  BadInput if that cannot be."""
    for rank, size, local_rank in LAUNCHERS:
        if rank in variables and size in variables:
            told = {name: variables[name] for name in (rank, size, local_rank) if name in variables}
            try:
                return Group(int(told[rank]), int(told[size]), int(told.get(local_rank, told[rank])))
            except ValueError as problem:
                said = " ".join(f"{name}={value}" for name, value in told.items())
                raise BadValue(f"{said}: no launcher starts a process so ({problem}); unset them, or start with"
                               " torchrun, mpiexec or srun") from problem  # fmt: skip
    return Group()


def _meet(own: Group, patience: timedelta) -> Store:
    """A store that rank 0 opens on a free port and tells the others of, by MPI; MPI is not needed after that.

    MPI ends here already: at the exit of a failed process it would wait for the others for ever.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as problem:
        raise BadInput(
            f"{own.size} processes, but mpi4py does not load ({problem}); set MASTER_ADDR and MASTER_PORT,"
            " or start with torchrun"
        ) from problem
    world = MPI.COMM_WORLD
    if world.Get_size() != own.size:
        raise BadInput(
            f"{own.size} processes, but mpi4py sees {world.Get_size()}: it belongs to another MPI than this mpiexec;"
            " use the mpiexec of that one, set MASTER_ADDR and MASTER_PORT, or start with torchrun"
        )
    one_machine = world.Split_type(MPI.COMM_TYPE_SHARED).Get_size() == own.size
    host = "127.0.0.1" if one_machine else socket.gethostname()
    if own.main:
        store = TCPStore(host, 0, own.size, is_master=True, timeout=patience, wait_for_workers=False)
        world.bcast((host, store.port))
    else:
        host, port = world.bcast(None)
        store = TCPStore(host, port, own.size, is_master=False, timeout=patience)
    MPI.Finalize()
    return store
