"""What the shell scripts, the requirements and the sample promise, without installing anything."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

from audio import read_sound
from core.errors import BadInput, NoFace
from core.program import exit_code
from scripts.strip import moments, pairs, sheet, write_animation, write_picture
from video import probe, write_video

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "scripts" / "demo"
SCRIPTS = sorted([*(ROOT / "scripts").glob("*.sh"), ROOT / "scripts" / "mpiexec", ROOT / ".ci" / "run"])
OWN_ENVIRONMENT = {"mediapipe"}  # what one measuring script says to install apart: it needs another OpenCV
OPTIONAL = {"diffusers", "comfy"}  # for those who bring weights of its kind; one sentence where it is not
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


@pytest.mark.slow
def test_setup_wants_no_shell_and_no_path(tmp_path: Path) -> None:
    """As on Windows: nothing but Python; an environment that is ready is only said."""
    venv = tmp_path / "an environment"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)  # with the pip that comes with Python
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
def test_setup_says_what_it_is_about_to_do_and_what_failed(tmp_path: Path) -> None:
    """Sizes come before the work, and a package index out of reach is a sentence."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
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
    with pytest.raises(ValueError, match="a bug"):
        ends(ValueError("a bug"))


def test_a_script_that_is_started_elsewhere_says_its_problem(tmp_path: Path) -> None:
    speak = [sys.executable, ROOT / "scripts" / "mouth_opening.py", "speak", "--output", "out", "--data", "gone"]
    done = subprocess.run(speak, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and "no prepared clips" in done.stderr


def test_what_the_programs_import_is_required() -> None:
    shipped = [file for file in python_files() if ROOT / "tests" not in file.parents]
    allowed = required("requirements.txt").keys() | OWN_ENVIRONMENT | OPTIONAL
    missing = {name: str(file) for name, file in foreign(shipped).items() if name not in allowed}
    assert not missing


def test_what_the_tests_import_is_required() -> None:
    named = required("requirements.txt") | required("requirements-dev.txt")
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


@pytest.mark.parametrize(("frames", "count"), [(1, 6), (5, 6), (6, 6), (97, 6), (10_000, 1)])
def test_moments_are_spread_evenly_over_the_video(frames: int, count: int) -> None:
    chosen = moments(frames, count)
    assert len(chosen) == min(frames, count)
    assert chosen[0] >= 0 and chosen[-1] < frames
    ends = np.diff([-chosen[0] - 1, *chosen, 2 * frames - chosen[-1] - 1])  # mirrored at both ends
    assert ends.max() - ends.min() <= 2


def grey(value: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_the_rows_show_the_same_moments(tmp_path: Path) -> None:
    before, after = tmp_path / "before.mp4", tmp_path / "after.mp4"
    write_video(before, (grey(20 * k) for k in range(10)), Fraction(25))
    write_video(after, (grey(10 * k) for k in range(19)), Fraction(25))  # longer: BEFORE runs back again
    shades = [(round(top.mean() / 20), round(bottom.mean() / 10)) for top, bottom in pairs(before, after, 19)]
    assert shades == [(min(k, 18 - k), k) for k in range(19)]


def test_a_still_picture_repeats(tmp_path: Path) -> None:
    write_video(tmp_path / "after.mp4", (grey(10 * k) for k in range(12)), Fraction(25))
    shown = pairs(SAMPLE / "portrait.jpg", tmp_path / "after.mp4", 3)
    assert len(shown) == 3
    assert all(np.array_equal(top, shown[0][0]) for top, _ in shown)


def test_a_sheet_has_a_column_per_moment_and_two_rows() -> None:
    page = sheet([(grey(0), grey(5)), (grey(50), grey(55))], height=64)  # twice the frames' size, and nearly the same
    assert page.shape == (2 * 64 + 12, 2 * 96 + 12, 3)
    assert [page[row, column, 0] for row in (36, 104) for column in (50, 150)] == [0, 50, 5, 55]
    assert (page[:4] == 255).all() and (page[68:72] == 255).all() and (page[:, :4] == 255).all()


def test_two_more_rows_show_what_differs_enlarged() -> None:
    before, after = np.full((60, 80, 3), 100, np.uint8), np.full((60, 80, 3), 100, np.uint8)
    after[40:52, 30:46] = 200
    page = sheet([(before, before), (before, after)], height=60)
    assert page.shape == (4 * 60 + 20, 2 * 80 + 12, 3)
    assert (page[197:255, 7:81] == 100).all()  # of the moment at which it does not differ, the same part
    assert 0.1 < (page[197:255, 91:165] == 200).all(axis=2).mean() < 0.9
    before = np.full((30, 40, 3), 100, np.uint8)
    assert len(sheet([(before, after)], height=60)) == 2 * 60 + 12


def test_a_sheet_is_a_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "für dich.png", grey(7))
    assert (cv2.imdecode(np.fromfile(tmp_path / "für dich.png", np.uint8), cv2.IMREAD_COLOR) == 7).all()
    with pytest.raises(BadInput, match=r"sheet\.mp4"):
        write_picture(tmp_path / "sheet.mp4", grey(7))


def test_what_differs_moves(tmp_path: Path) -> None:
    marked = [grey(100) for _ in range(25)]
    for k, picture in enumerate(marked):
        picture[10:20, 10:30] = 4 * k
    write_video(tmp_path / "after.mp4", iter(marked), Fraction(25), crf=0)
    write_picture(tmp_path / "before.png", grey(100))
    write_animation(tmp_path / "moves.gif", tmp_path / "before.png", tmp_path / "after.mp4", 40)
    shown = probe(tmp_path / "moves.gif")
    assert shown.height == 40 and shown.frames == 12 and 0.9 <= shown.frames / shown.fps <= 1
    write_video(tmp_path / "same.mp4", (grey(100) for _ in range(3)), Fraction(25))
    with pytest.raises(BadInput, match="shows nothing that"):
        write_animation(tmp_path / "none.gif", tmp_path / "before.png", tmp_path / "same.mp4", 40)


def test_strip_runs_from_any_folder(tmp_path: Path) -> None:
    write_video(tmp_path / "after.mp4", (grey(10 * k) for k in range(5)), Fraction(25))
    strip = [sys.executable, ROOT / "scripts" / "strip.py", SAMPLE / "portrait.jpg", "after.mp4"]
    subprocess.run([*strip, "strip.png", "--frames", "2"], cwd=tmp_path, check=True)
    assert probe(tmp_path / "strip.png").height == 2 * 256 + 12
    wrong = subprocess.run([*strip, "strip.txt"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
