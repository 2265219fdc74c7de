"""A server in a process of its own, with a tiny model, as a stranger would start it."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
QUICK = {"face_detector": "haar", "strict_pose": "force"}


class Server:
    """`python -m web` on a data folder; ended by any signal, and started again."""

    def __init__(self, data: Path, model: Path, *flags: str, **environment: str) -> None:
        self._command = [
            sys.executable, "-m", "web", "--port", "0", "--data", str(data), "--model_path", str(model), "--threads",
            "1", *flags,
        ]  # fmt: skip
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(data.parent / "cache"), **environment}
        self.url, self.port = "", 0
        self.start()

    def start(self) -> None:
        """On the same port as before."""
        command = list(self._command)
        if self.port:
            command[command.index("--port") + 1] = str(self.port)
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip().removesuffix("docs").rstrip("/")
        assert self.url, "the server did not start"
        self.port = int(self.url.rpartition(":")[2])

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def serving(data: Path, model: Path, *flags: str, **environment: str) -> Iterator[Server]:
    """A server that is ended, whatever happens."""
    server = Server(data, model, *flags, **environment)
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
