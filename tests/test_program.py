"""What a problem becomes for whoever called a program."""

import errno
import io
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from core.errors import BadInput, LipSyncError, NoFace, OutOfMemory
from core.program import Forgiving, exit_code, said, signals
from core.starting import is_ours

ROOT = Path(__file__).parents[1]


def raises(problem: BaseException):
    def work() -> None:
        raise problem

    return work


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (BadInput("a.mp4: is empty"), 2),
        (NoFace("a.mp4: no face"), 3),
        (OutOfMemory("too large"), 4),
        (MemoryError(), 4),
        (torch.OutOfMemoryError("CUDA out of memory"), 4),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 4),
        (RuntimeError("can't start new thread"), 4),
        (cv2.error("OpenCV: alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate"), 4),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 4),
        (ImportError("libtorch_cuda.so: failed to map segment from shared object"), 4),
        (PermissionError(errno.EACCES, "Permission denied", "locked/a.mp4"), 2),
        (OSError(errno.EROFS, "Read-only file system", "a.mp4"), 2),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 256), 2),
        (FileExistsError(errno.EEXIST, "File exists", "dangling"), 2),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a.mp4/b"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_problem_has_a_code_and_a_sentence(problem, code, capsys):
    assert exit_code(raises(problem)) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and (code == 130 or said.startswith("error: "))


def test_what_lacks_memory_is_no_damage():
    try:
        try:
            np.empty(1 << 50)
        except MemoryError as problem:
            raise BadInput("a.mp4: damaged; copy it again") from problem
    except LipSyncError as problem:
        assert isinstance(said(problem), OutOfMemory)
    assert said(ValueError("a bug")) is None


def test_a_bug_raises():
    with pytest.raises(ZeroDivisionError):
        exit_code(raises(ZeroDivisionError()))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGINT"])
def test_signals_are_as_ctrl_c_once(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), signals():
            try:
                os.kill(os.getpid(), number)
            finally:
                if name != "SIGINT":
                    os.kill(os.getpid(), number)  # what ends is left in peace
    finally:
        signal.signal(number, before)


def test_what_a_library_makes_of_an_interrupt_is_one(capsys):
    def work() -> None:
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        raise ImportError("cannot load module more than once per process")

    assert exit_code(work, stopped="stopped") == 130
    assert capsys.readouterr().err == "stopped\n"


IMPORTING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which those who run tests side by side switch off
sys.path.insert(0, {root!r})
sys.argv[0] = {program!r}
import core
exec(compile("os.kill(os.getpid(), signal.SIGINT)", {where!r}, "exec"))
"""


@pytest.mark.parametrize("where", ["<frozen importlib._bootstrap>", "train.py"])
def test_ctrl_c_while_a_program_imports_is_one_sentence(where):
    code = IMPORTING.format(root=str(ROOT), program=str(ROOT / "train.py"), where=where)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode in (130, -signal.SIGINT) and done.stderr == "stopped; nothing was written\n"


@pytest.mark.parametrize(
    ("program", "ours"),
    [
        ("train.py", True), ("evaluation/__main__.py", True), (".venv/lib/pytest/__main__.py", False),
        ("venv/lib/site-packages/ipykernel_launcher.py", False), ("-c", False), ("../own.py", False),
    ],
)  # fmt: skip
def test_other_programs_that_import_core_keep_their_interrupts(program, ours):
    assert is_ours(str(ROOT / program)) == ours and is_ours("-m") and not is_ours("")


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_cannot_be_spelled_or_written_is_no_problem():
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Forgiving(narrow).write("häßlich\n")
    narrow.flush()
    assert narrow.buffer.getvalue() == b"h\\xe4\\xdflich\n"
    narrow.close()
    Forgiving(narrow).write("closed")


CODE = """
import sys
sys.path.insert(0, {root!r})
from core.program import exit_code
def work():
    for number in range(100000):
        print("a line of the table", number, "häßlich \\udcff")
    print("and of the other", file=sys.stderr)
sys.exit(exit_code(work))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [">/dev/full", ">&-", "2>&-", "2>/dev/full", "| head -1", ">&- 2>&-"])
def test_a_closed_or_full_output_changes_nothing(tmp_path, how):
    if "/dev/full" in how and not Path("/dev/full").exists():
        pytest.skip("no full device here")
    program = tmp_path / "program.py"
    program.write_text(CODE.format(root=str(ROOT)))
    line = f"set -o pipefail; LC_ALL=C {sys.executable} {program} {how}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr and "Exception" not in done.stderr
