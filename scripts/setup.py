"""Makes the virtual environment ready and prints its Python, which is all that goes to standard output.

    python scripts/setup.py          what the programs need
    python scripts/setup.py --dev    and what the tests need

On Windows, macOS and Linux, with Python 3.11 or newer and pip alone.  The environment is .venv, or the folder that VENV
names.  TORCH=cpu takes PyTorch's build without CUDA, from its own index.  Where the requirements are those of the last
time, nothing is done.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = os.name == "nt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# Every program works with OpenCV 5 too, but only 4 brings a face detector along: with it nothing but the package index
# has to be within reach.
WITH_DETECTOR = "opencv-python<5"
ALL, CUDA = 6.3, 4.1  # GB that the environment takes on Linux, and what of it are NVIDIA's libraries and Triton


def main():
    # No annotations and nothing new: an older Python has to get as far as the sentence that says so.
    if sys.version_info < (3, 11):  # noqa: UP036
        here = ".".join(map(str, sys.version_info[:2]))
        fail("Python 3.11 or newer is needed, this is " + here + "; install one, and run this by it")
    flags = sys.argv[1:]
    if flags in (["-h"], ["--help"]):
        print(__doc__, end="")
        return
    if flags not in ([], ["--dev"]):
        fail((flags[1] if flags[0] == "--dev" else flags[0]) + " is unknown; the only flag is --dev")
    venv = Path(os.environ.get("VENV") or ROOT / ".venv").absolute()
    python = venv / ("Scripts/python.exe" if WINDOWS else "bin/python")
    if not works(python, "-m", "pip", "--version"):
        make_environment(venv, python)
    # Tests import a tenth of what is installed, and compile that themselves: the rest would take pip half a minute.
    how = ["--no-compile"] if flags and not sys.dont_write_bytecode else []
    installed = install(venv, python, "requirements.txt", how)
    if flags:
        installed |= install(venv, python, "requirements-dev.txt", how)
    if not WINDOWS:
        let_root_start_mpi(venv)
    if installed and sys.stdout.isatty():
        activate = venv / ("Scripts/activate" if WINDOWS else "bin/activate")
        print(f"ready; next: {'' if WINDOWS else 'source '}{activate}, then python generate.py VIDEO AUDIO RESULT.mp4",
              file=sys.stderr)  # fmt: skip
    print(python)


def fail(sentence):
    sys.stderr.write(f"error: {sentence}\n")
    sys.exit(2)


def works(*words):
    """Whether a command can be run and succeeds; what it says is nobody's business."""
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def make_environment(venv, python):
    """A new one, or an old one that lost its Python."""
    if venv.is_dir() and not (venv / "pyvenv.cfg").exists() and any(venv.iterdir()):
        fail(f"{venv} is a folder of other things; name a new one with VENV")
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)], stdout=sys.stderr, check=False)
    if done.returncode:
        fail(f"{sys.executable} cannot make the virtual environment {venv}; on Debian or Ubuntu, apt-get install"
             " python3-venv")  # fmt: skip
    if not works(python, "-m", "pip", "--version"):
        fail(f"{venv} is broken; remove it and run this again")


def install(venv, python, name, how):
    """Installs a requirements file, unless this very text has been installed already.  Whether it did.

    how: flags of `pip install`.
    """
    stamp = venv / f"{name}.sha256"
    wanted = hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == wanted:
        return False
    without_cuda = os.environ.get("TORCH", "") == "cpu"
    linux = sys.platform.startswith("linux")
    first = not works(python, "-c", "import importlib.util, sys; sys.exit(not importlib.util.find_spec('torch'))")
    needed = ALL - CUDA if without_cuda else ALL if linux else None
    if first and needed:
        less = "" if without_cuda else f"; TORCH=cpu saves {CUDA} GB of it where there is no NVIDIA GPU"
        print(f"installing {name} into {venv}: {needed:.1f} GB, minutes the first time{less}", file=sys.stderr)
        free = shutil.disk_usage(venv).free / 1e9
        if free < needed + 0.5:
            fail(f"{venv}: {free:.1f} GB are free and {needed + 0.5:.1f} GB are needed; make room, or name a folder on"
                 " another disk with VENV")  # fmt: skip
    else:
        print(f"installing {name} into {venv} (minutes, the first time)", file=sys.stderr)
    if first and without_cuda and linux:
        pip(python, [*how, f"--index-url={CPU_INDEX}", "torch", "torchvision"],
            f"pip could not install PyTorch without CUDA from {CPU_INDEX}, see above; leave TORCH out")  # fmt: skip
    pip(python, [*how, WITH_DETECTOR, "--requirement", str(ROOT / name)],
        f"pip could not install {name}, see above; check the network and the space on the disk (7 GB)")  # fmt: skip
    loaded = subprocess.run([python, "-c", "import cv2"], capture_output=True, text=True, check=False)
    if loaded.returncode:
        why = (loaded.stderr.strip().splitlines() or ["no reason given"])[-1]
        fail(f"OpenCV does not load ({why}); on Debian or Ubuntu, apt-get install libgl1 libglib2.0-0")
    stamp.write_text(wanted + "\n", encoding="utf-8")
    return True


def pip(python, words, sentence):
    command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input", *words]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        fail(sentence)


def let_root_start_mpi(venv):
    """Puts scripts/mpiexec into the environment, in front of the MPI that is there or elsewhere, if there is one."""
    ours, theirs = ROOT / "scripts" / "mpiexec", venv / "bin" / "mpiexec"
    if not (venv / "bin" / "mpirun").exists() and not shutil.which("mpiexec"):
        return
    try:
        if not theirs.is_file() or theirs.read_bytes() != ours.read_bytes():
            shutil.copyfile(ours, venv / "bin" / "mpiexec.new")
            (venv / "bin" / "mpiexec.new").chmod(0o755)
            (venv / "bin" / "mpiexec.new").replace(theirs)
    except OSError:  # an environment that somebody else keeps: mpiexec then wants its own flags
        pass


if __name__ == "__main__":
    main()
