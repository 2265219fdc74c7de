"""Programs in processes of their own that import nothing anew: they are forked from one that has imported it all.

A process that imports torch and this project takes 3 to 5 s of CPU time before it does anything; forked it takes 0.4 s.
For tests of what processes do; what a program imports, or how it is started, is tested by `subprocess`.
"""

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = (
    "torch._dynamo",  # comes with the first optimizer
    "lipsync.cli.main", "lipsync.pipeline", "lipsync.jobs.filelist_runner", "lipsync.inspect.preview", "video.encoding",
    "systems.training", "guided_diffusion.engine.trainer", "dataset.source", "evaluation.cli", "video", "matplotlib",
    "web.app", "web.__main__", "uvicorn", "web.speaking", "librosa.filters", "torch.utils.tensorboard", "lpips",
    *(f"systems.{path.parent.name}.specification" for path in ROOT.glob("systems/*/specification.py")),
)  # fmt: skip
LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
cpu_seconds = 0.0  # of all that have ended, which are no children of this process (tests/conftest.py books them)
_forker: socket.socket | None = None  # to the process that forks


class Forked:
    """A program with its words, as `subprocess.Popen` without its interpreter: ["generate.py", ...], ["-m", ...].

    args, pid, returncode, stdout, stderr, communicate, poll, wait, kill and send_signal are Popen's.
    """

    def __init__(
        self, args: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        stdin: bool = False, stderr: bool = True,
    ) -> None:  # fmt: skip
        """stdin: a pipe to it, otherwise it has ours.  stderr: a pipe from it, otherwise it writes where we do."""
        self.args = [str(word) for word in args]
        self.returncode: int | None = None
        request = {"args": self.args, "env": dict(os.environ if env is None else env), "cwd": str(cwd or Path.cwd())}
        out, err, fate = os.pipe(), os.pipe() if stderr else None, os.pipe()
        words = os.pipe() if stdin else None
        theirs = [out[1], *(err or ())[1:], fate[1], *(words or ())[:1]]
        _ask(json.dumps(request).encode(), [out[1], err[1] if err else 2, *theirs[1 + stderr :]])
        for end in theirs:
            os.close(end)
        self.stdout: IO[str] = os.fdopen(out[0], encoding="utf-8", errors="replace")
        self.stderr: IO[str] = os.fdopen(err[0], encoding="utf-8", errors="replace") if err else io.StringIO()
        self.stdin = os.fdopen(words[1], "w", encoding="utf-8") if words else None
        self._fate: IO[str] = os.fdopen(fate[0], encoding="utf-8")
        self._lock = threading.Lock()
        self.pid = int(self._fate.readline())

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said on both, once it has ended; if it has not by then, it is killed: TimeoutExpired."""
        with ThreadPoolExecutor(2) as threads:
            said = [threads.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                out, err = (future.result(timeout) for future in said)
            except TimeoutError:
                self.kill()
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
        self.wait(timeout)
        self.stdout.close()
        self.stderr.close()
        return out, err

    def poll(self) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._fate], [], [], 0)[0]:
                global cpu_seconds
                status, seconds = self._fate.readline().split()
                self.returncode = os.waitstatus_to_exitcode(int(status))
                cpu_seconds += float(seconds)
                self._fate.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = time.monotonic() + (3600 if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    args: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with captured text, without the interpreter."""
    process = Forked(args, env=env, cwd=cwd)
    out, err = process.communicate(timeout)
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_group(
    size: int, args: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> list[Forked]:
    """So many of a program, as torchrun starts them; one is started as by hand."""
    own = {name: value for name, value in (os.environ if env is None else env).items() if name not in LAUNCHED}
    if size > 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            own |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": str(size)}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} if size > 1 else {} for rank in range(size)]
    return [Forked(args, env=own | rank, cwd=cwd) for rank in ranks]


def ended(processes: Sequence[Forked], timeout: float = 300) -> list[subprocess.CompletedProcess[str]]:
    """What became of each; none outlives the test."""
    try:
        texts = [process.communicate(timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.wait(), out, err)
        for process, (out, err) in zip(processes, texts, strict=True)
    ]


def fork_from_here() -> None:
    """From here on programs are forked from what this process is now, which must have no other thread yet."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = os.fork()
    if not process:
        ours.close()
        words = _serve(theirs)
        if words is None:
            os._exit(0)
        _run(words)
        sys.exit()
    theirs.close()
    _use(ours, lambda: os.waitpid(process, 0))


def _start() -> None:
    """A process that has imported everything, from which programs are forked; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())], env=environment, pass_fds=[theirs.fileno()], cwd=ROOT
    )
    theirs.close()
    _use(ours, process.wait)


def _use(forker: socket.socket, ended: Callable[[], object]) -> None:
    global _forker
    _forker = forker

    def end() -> None:
        forker.close()
        ended()

    atexit.register(end)


def _ask(request: bytes, files: list[int]) -> None:
    if _forker is None:
        _start()
    assert _forker is not None
    _forker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, max(4 * len(request), 1 << 18))
    socket.send_fds(_forker, [request], files)


def _serve(server: socket.socket) -> list[str] | None:
    """In each process forked for a program: its words.  In the server, once nobody asks any more: None."""
    while True:
        request, files, _, _ = socket.recv_fds(server, 1 << 20, 4)
        while True:  # those who looked after programs that have ended
            try:
                if not os.waitpid(-1, os.WNOHANG)[0]:
                    break
            except ChildProcessError:
                break
        if not request:
            return None
        if os.fork():
            for file in files:
                os.close(file)
            continue
        server.close()
        child = os.fork()
        if child:
            for file in (*files[:2], *files[3:]):
                os.close(file)
            with suppress(OSError):  # whoever asked for it has ended
                os.write(files[2], f"{child}\n".encode())
            _, status, usage = os.wait4(child, 0)
            with suppress(OSError):
                os.write(files[2], f"{status} {usage.ru_utime + usage.ru_stime}\n".encode())
            os._exit(0)
        os.close(files[2])
        given = json.loads(request)
        os.environ.clear()
        os.environ.update(given["env"])
        os.chdir(given["cwd"])
        for file, number in zip((*files[:2], *files[3:]), (1, 2, 0), strict=False):
            os.dup2(file, number)
            os.close(file)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        words: list[str] = given["args"]
        return words


def _run(words: list[str]) -> None:
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def main() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # else the first collection in each touches, and so copies, all that they share
    words = _serve(socket.socket(fileno=int(sys.argv[1])))
    if words is not None:
        _run(words)


if __name__ == "__main__":
    main()
