"""However a run is ended from outside, what is lost is at most the steps since the last save, and nothing else."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.helpers import forked
from tests.helpers.adversarial import FOUR, trainer

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
DIES = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import torch
from tests.helpers.adversarial import FOUR, publish, trainer
from core.atomic import save_atomically

folder, what = Path(sys.argv[1]), sys.argv[2]
save = torch.save

def dies(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    os.kill(os.getpid(), signal.SIGKILL)

def save_and_die(state, path):
    save(state, path)
    if state["step"] == 4:
        dies(path)

def publish_and_die(path, step, weights):
    def write(temporary):
        publish(temporary, step, weights)
        if step == 4:
            dies(temporary)
    save_atomically(path, write)

if what == "state":
    torch.save = save_and_die
trainer(folder, replace(FOUR, steps=6, save_every=2), publish=publish_and_die if what == "weights" else publish).run()
"""


LOADS = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.helpers.adversarial import FOUR, Batches, trainer
from core.errors import Stopped
from guided_diffusion.engine.loading import batches_of

def batches(indices):
    return batches_of(Batches(), indices, workers=1)

run = trainer(Path(sys.argv[1]), replace(FOUR, steps=10**6), batches=batches)
tell = run._tell

def tell_and_say(*given):
    tell(*given)
    if run.step == 2:
        print("going", flush=True)

run._tell = tell_and_say
try:
    run.run()
except Stopped as stopped:
    print(stopped)
"""


@pytest.mark.slow
def test_a_signal_to_the_whole_group_of_processes_lets_the_step_finish(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LOADS, tmp_path], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=ENVIRONMENT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "going\n"
    os.killpg(process.pid, signal.SIGTERM)
    output, errors = process.communicate(timeout=120)
    step = torch.load(tmp_path / "state.pt", weights_only=True)["step"]
    assert (output, errors) == (f"stopped and saved after step {step}; the same command goes on from there\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["state", "weights"])
def test_a_run_that_is_killed_while_it_saves_goes_on_from_the_last_save(tmp_path: Path, what: str) -> None:
    config = replace(FOUR, steps=6, save_every=2)
    (tmp_path / "dies.py").write_text(DIES)
    died = forked.run([tmp_path / "dies.py", tmp_path / "cut", what], env=ENVIRONMENT)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert torch.load(tmp_path / "cut" / "state.pt", weights_only=True)["step"] == 2
    assert len([path for path in (tmp_path / "cut").iterdir() if path.name.startswith(".")]) == 1  # half a file
    trainer(tmp_path / "cut", config).run()
    trainer(tmp_path / "whole", config).run()
    files = [
        {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*") if "tensorboard" not in path.parts}
        for name in ("cut", "whole")
    ]
    assert files[0] == files[1]
    for name in ("weights.safetensors", "history/0000004.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
