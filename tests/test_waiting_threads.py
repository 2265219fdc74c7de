"""Every program says how threads behave before the libraries that read it are imported."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WATCHED = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ["OMP_WAIT_POLICY"], os.environ["OPENBLAS_NUM_THREADS"], flush=True)
            os._exit(0)

sys.meta_path.insert(0, Watch())
import {module}
import lipsync.pipeline
"""


@pytest.mark.parametrize("module", ["generate", "train", "evaluation.cli", "web.worker", "dataset"])
@pytest.mark.parametrize(("given", "said"), [({}, "PASSIVE 1"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE 1")])
def test_threads_wait_asleep_unless_told_otherwise(module: str, given: dict[str, str], said: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "OPENBLAS_"))}
    command = [sys.executable, "-c", WATCHED.format(module=module)]
    done = subprocess.run(command, cwd=ROOT, env=own | given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_scripts_say_it_first(script: Path) -> None:
    """What is imported before `core` is Python's own; what is imported as scripts.NAME has it from scripts/__init__."""
    names = []
    for statement in ast.parse(script.read_text()).body:
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            names.append(statement.module or "")
    others = [name for name in names if name.split(".")[0] not in sys.stdlib_module_names]
    assert not others or others[0].split(".")[0] == "core" or "sys.path" not in script.read_text()
