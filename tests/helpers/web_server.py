"""A server in a process of its own, with a tiny model: as a stranger would start it, or forked."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from tests.helpers.forked import Forked

ROOT = Path(__file__).parents[2]
S = TypeVar("S", bound="Server")
QUICK = {"face_detector": "haar", "strict_pose": "force"}


class Server:
    """`python -m web` on a data folder; ended by any signal, and started again."""

    def __init__(self, data: Path, model: Path, *flags: str, **environment: str) -> None:
        self._flags = ["--data", str(data), "--model_path", str(model), "--threads", "1", *flags]
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(data.parent / "cache"), **environment}
        self.url, self.port = "", 0
        self.start()

    def start(self) -> None:
        """On the same port as before."""
        self.process = self._process(["--port", str(self.port), *self._flags])
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip().removesuffix("docs").rstrip("/")
        assert self.url, "the server did not start"
        self.port = int(self.url.rpartition(":")[2])

    def _process(self, flags: list[str]) -> "subprocess.Popen[str] | Forked":
        command = [sys.executable, "-m", "web", *flags]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True)

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class ForkedServer(Server):
    """The same in a tenth of the CPU time: nothing is imported anew, by its workers neither."""

    def __init__(self, data: Path, model: Path, *flags: str, **environment: str) -> None:
        self._notes = data.with_name(f"{data.name}-workers")
        super().__init__(data, model, *flags, **environment)

    def _process(self, flags: list[str]) -> Forked:
        return start_web(self._notes, flags, self.environment)

    def workers(self) -> list[int]:
        """Processes that make videos, of those that are there; the one that was started first comes first."""
        lines = [line.split() for line in self._notes.read_text().splitlines()]
        return [int(pid) for pid, *words in lines if "--device" in words and Path(f"/proc/{pid}").exists()]


def start_web(notes: Path, flags: Sequence[str], environment: Mapping[str, str]) -> Forked:
    """`python -m web`, forked; its workers are noted (tests/helpers/forked_web.py)."""
    return Forked([ROOT / "tests" / "helpers" / "forked_web.py", notes, *flags], cwd=ROOT, env=environment,
                  stderr=False)  # fmt: skip


@contextmanager
def serving(
    data: Path, model: Path, *flags: str, kind: Callable[..., S] = ForkedServer, **environment: str
) -> Iterator[S]:
    """A server that is ended, whatever happens."""
    server = kind(data, model, *flags, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


def ask(
    server: Server, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a bare request."""
    where = urlsplit(server.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body
