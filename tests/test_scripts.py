"""What the shell scripts, the requirements and the sample promise, without installing anything."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from audio import read_sound
from core.errors import NoFace
from core.program import exit_code
from tests.helpers.failing import fails
from video import probe

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "scripts" / "demo"
SCRIPTS = sorted([*(ROOT / "scripts").glob("*.sh"), ROOT / "scripts" / "mpiexec", ROOT / ".ci" / "run"])
OWN_ENVIRONMENT = {"mediapipe"}  # what one measuring script says to install apart: it needs another OpenCV
# diffusers and comfy for those who have them, the rest in requirements-onnx.txt and requirements-silero.txt; a
# sentence where they are not
OPTIONAL = {"diffusers", "comfy", "onnx", "onnxruntime", "onnxscript", "espeakng-loader"}
# import names that are not the distribution's own with "-" for "_"
DISTRIBUTIONS = {"cv2": "opencv-python", "skimage": "scikit-image", "PIL": "pillow"}


def python_files() -> Iterator[Path]:
    """Every file of the project, and nothing of a virtual environment or another tool's hidden folder."""
    for entry in ROOT.iterdir():
        if entry.suffix == ".py":
            yield entry
        elif entry.is_dir() and not entry.name.startswith(".") and not (entry / "pyvenv.cfg").exists():
            yield from entry.rglob("*.py")


def imported(file: Path) -> set[str]:
    """The top-level names of all absolute imports, those inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def required(name: str) -> dict[str, Requirement]:
    """The distributions that a requirements file names, by lower-case name; a file that it includes not counted."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    parsed = [Requirement(line) for line in lines if line and not line.startswith("-r")]
    return {requirement.name.lower(): requirement for requirement in parsed}


def foreign(files: list[Path]) -> dict[str, Path]:
    """The distributions that these files import, each with a file that does."""
    own = {file.stem for file in python_files()} | {entry.name for entry in ROOT.iterdir() if entry.is_dir()}
    known = own | sys.stdlib_module_names
    return {
        DISTRIBUTIONS.get(name, name.replace("_", "-")): file
        for file in files
        for name in imported(file)
        if name not in known
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_parses_can_be_run_and_stops_at_the_first_error(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert script.stat().st_mode & 0o111


def test_setup_refuses_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    for flags, folder, reason in ((["--fast"], tmp_path / "new", "--fast is unknown"), ([], tmp_path, "other things")):
        setup = [ROOT / "scripts" / "setup.sh", *flags]
        answer = subprocess.run(
            setup, env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "VENV": str(folder)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert answer.returncode == 2
        assert answer.stdout == ""
        assert answer.stderr.startswith("error: ") and answer.stderr.count("\n") == 1
        assert reason in answer.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the pip that comes with Python; to be copied."""
    venv = tmp_path_factory.mktemp("pristine") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    return venv


@pytest.mark.slow
def test_setup_wants_no_shell_and_no_path(pristine: Path, tmp_path: Path) -> None:
    """As on Windows: nothing but Python; an environment that is ready is only said."""
    venv = Path(shutil.copytree(pristine, tmp_path / "an environment", symlinks=True))
    for name in ("requirements.txt", "requirements-dev.txt"):
        (venv / f"{name}.sha256").write_text(sha256((ROOT / name).read_bytes()).hexdigest() + "\n")
    setup = [sys.executable, ROOT / "scripts" / "setup.py", "--dev"]
    for path in ("", os.environ["PATH"]):
        done = subprocess.run(setup, env={"PATH": path, "VENV": str(venv)}, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{venv / 'bin' / 'python'}\n")
    (venv / "bin" / "mpirun").write_text("#!/bin/sh\necho $OMPI_ALLOW_RUN_AS_ROOT $@\n")
    (venv / "bin" / "mpirun").chmod(0o755)
    (venv / "bin" / "mpiexec").write_text("what pip installed")
    subprocess.run(setup, env={"VENV": str(venv)}, check=True, capture_output=True)
    said = subprocess.run([venv / "bin" / "mpiexec", "-n", "2", "x"], capture_output=True, text=True, check=True)
    assert said.stdout == "1 -n 2 x\n"


@pytest.mark.slow
def test_setup_says_what_it_is_about_to_do_and_what_failed(pristine: Path, tmp_path: Path) -> None:
    """Sizes come before the work, and a package index out of reach is a sentence."""
    shutil.copytree(pristine, tmp_path / "venv", symlinks=True)
    environment = {"PATH": os.environ["PATH"], "VENV": str(tmp_path / "venv"), "PIP_CONFIG_FILE": os.devnull,
                   "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}  # fmt: skip
    for more, size, words in (({}, "6.3 GB", "could not install requirements.txt"), ({"TORCH": "cpu"}, "2.2 GB", "")):
        environment |= more | ({"PIP_NO_INDEX": "1"} if more else {})
        setup = [sys.executable, ROOT / "scripts" / "setup.py"]
        done = subprocess.run(setup, env=environment, capture_output=True, text=True, check=False)
        first, *_, last = done.stderr.splitlines()
        assert done.returncode == 2 and done.stdout == "" and size in first and last.startswith("error: pip could not")
        assert words in last and ("TORCH=cpu saves" in first) == (not more)


def test_a_problem_is_one_sentence_and_its_exit_code_and_a_bug_raises(capsys: pytest.CaptureFixture[str]) -> None:
    def ends(problem: Exception) -> int:
        def main() -> None:
            raise problem

        return exit_code(main)

    assert exit_code(lambda: None) == 0 and capsys.readouterr().err == ""
    assert (ends(NoFace("a.mp4: no face")), capsys.readouterr().err) == (3, "error: a.mp4: no face\n")
    with fails(ValueError, "a bug"):
        ends(ValueError("a bug"))


@pytest.mark.slow
def test_a_script_that_is_started_elsewhere_says_its_problem(tmp_path: Path) -> None:
    prepare = [sys.executable, ROOT / "scripts" / "prepare.py", "--videos", "gone", "--output", "out",
               "--expert", ROOT / "checkpoints" / "sync.safetensors"]  # fmt: skip
    done = subprocess.run(prepare, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and "gone" in done.stderr


@pytest.mark.slow
def test_what_the_programs_import_is_required() -> None:
    shipped = [file for file in python_files() if ROOT / "tests" not in file.parents]
    allowed = required("requirements.txt").keys() | OWN_ENVIRONMENT | OPTIONAL
    web = [file for file in shipped if ROOT / "web" in file.parents]
    others = [file for file in shipped if file not in web]
    others_own = {"triton"}  # comes with torch, where it runs
    missing = {name: str(file) for name, file in foreign(others).items() if name not in allowed | others_own}
    served = allowed | required("requirements-web.txt").keys() | {"starlette"}  # which is fastapi's own
    assert not missing and not {name for name in foreign(web) if name not in served}


@pytest.mark.slow
def test_what_the_tests_import_is_required() -> None:
    files = ("requirements.txt", "requirements-web.txt", "requirements-onnx.txt", "requirements-dev.txt")
    named = {name: bound for file in files for name, bound in required(file).items()}
    tests = [file for file in python_files() if ROOT / "tests" in file.parents]
    missing = {name: str(file) for name, file in foreign(tests).items() if name not in named and name != "packaging"}
    assert not missing  # packaging comes with pytest


def test_torch_is_never_pinned() -> None:
    for name in ("torch", "torchvision"):
        assert all(bound.operator == ">=" for bound in required("requirements.txt")[name].specifier)


def test_the_sample_is_a_portrait_and_a_few_seconds_of_speech() -> None:
    portrait, speech = probe(SAMPLE / "portrait.jpg"), read_sound(SAMPLE / "speech.flac")
    assert portrait.still and (portrait.height, portrait.width) == (512, 512)
    assert 3 < speech.seconds < 6
    assert 0.3 < float(np.abs(speech.samples).max()) < 1
    assert sum(file.stat().st_size for file in SAMPLE.iterdir()) < 300_000
    assert probe(ROOT / "docs" / "demo.gif").frames == 60 and (ROOT / "docs" / "demo.gif").stat().st_size < 2_000_000
