"""A client of the server, with nothing but Python:

    python -m web.client person.mp4 words.wav result.mp4
    python -m web.client person.mp4 result.mp4 --text "What shall be said."

It waits where the queue is full, and asks again where the server is being restarted: the same files and settings are
the same job, so nothing is made twice.
"""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar
from urllib.parse import urlsplit

from core.atomic import atomic
from core.errors import BadInput, LipSyncError
from core.flags import Parser
from core.guard import guard, reads, writes
from core.program import exit_code

T = TypeVar("T")
BLOCK = 1 << 20
PATIENCE = 60.0  # seconds that a server may be away


class Failed(LipSyncError):  # noqa: N818
    """The server's sentence, with the exit code that it named."""

    def __init__(self, status: int, said: Mapping[str, Any], retry: float | None = None) -> None:
        super().__init__(str(said.get("error", f"the server answered {status}; see its output")))
        self.status, self.exit_code, self.retry = status, int(said.get("exit_code", 1)), retry


class Client:
    """A server at `url`; password: as it asks for.  Every problem is a `Failed` with the server's sentence."""

    def __init__(self, url: str = "http://127.0.0.1:7860", password: str | None = None) -> None:
        self._url, self._met = urlsplit(url), False
        self._headers = {} if password is None else {"Authorization": f"Bearer {password}"}

    def submit(self, files: Mapping[str, Path], **settings: object) -> dict[str, Any]:
        """Asks for a job; its status.  files: video, audio, style_video, mux_audio, of which settings may be the ids of
        uploads instead.  Waits while the queue is full."""
        while True:
            try:
                return self._json("POST", "/jobs", files, settings)
            except Failed as failed:
                if failed.status != 429:
                    raise
                time.sleep(failed.retry or 1.0)

    def speak(self, text: str) -> dict[str, Any]:
        """Has the server's voice say a text; the upload that this became, with its id and seconds."""
        return self._json("POST", "/speech", settings={"text": text})

    def status(self, job: str) -> dict[str, Any]:
        """How a job is (docs/web.md)."""
        return self._json("GET", f"/jobs/{job}")

    def cancel(self, job: str) -> dict[str, Any]:
        """Ends a job; its status."""
        return self._json("POST", f"/jobs/{job}/cancel")

    def wait(self, job: str, told: Callable[[Mapping[str, Any]], object] = lambda _: None, every: float = 0.5
             ) -> dict[str, Any]:  # fmt: skip
        """The status of a job when it is done; told: called with each status before.  Failed if there is no result."""
        while True:
            seen = self.status(job)
            if seen["status"] == "done":
                return seen
            if seen["problem"] is not None:
                raise Failed(200, seen["problem"])
            told(seen)
            time.sleep(every)

    def download(self, job: str, path: Path) -> None:
        """Writes the result of a job that is done; the file appears whole."""

        def write(answer: http.client.HTTPResponse) -> None:
            with atomic(path) as temporary, temporary.open("wb") as file:
                while block := answer.read(BLOCK):
                    file.write(block)
                if answer.length:
                    raise http.client.IncompleteRead(b"", answer.length)

        self._ask("GET", f"/jobs/{job}/result", write)

    def _json(
        self, method: str, path: str, files: Mapping[str, Path] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        return self._ask(method, path, lambda answer: dict(json.loads(answer.read())), files or {}, settings or {})

    def _ask(
        self,
        method: str,
        path: str,
        read: Callable[[http.client.HTTPResponse], T],
        files: Mapping[str, Path] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> T:
        """What `read` makes of the answer; a server that is away, or ends while it answers, is asked again."""
        end = time.monotonic() + (PATIENCE if self._met else 2.0)
        while True:
            try:
                connection, answer = self._ask_once(method, path, files or {}, settings or {})
                self._met = True
                with closing(connection):
                    return read(answer)
            except (OSError, http.client.HTTPException) as problem:
                if time.monotonic() > end:
                    raise BadInput(
                        f"{self._url.geturl()}: does not answer ({problem}); start the server, or pass --server URL"
                    ) from problem
                time.sleep(0.5)

    def _ask_once(
        self, method: str, path: str, files: Mapping[str, Path], settings: Mapping[str, object]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "localhost", self._url.port, timeout=PATIENCE)
        if method == "POST" and (files or settings):
            boundary = token_hex(16)
            parts = list(_parts(files, settings, boundary))
            length = sum(part.stat().st_size if isinstance(part, Path) else len(part) for part in parts)
            kinds = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}
            with suppress(BrokenPipeError, ConnectionResetError):  # a refusal may come before all was sent
                connection.request(method, path, _bytes(parts), {**self._headers, **kinds})
        else:
            connection.request(method, path, headers=self._headers)
        try:
            answer = connection.getresponse()
            if answer.status < 400:
                return connection, answer
            said = json.loads(answer.read())
        except ValueError:
            said = {}
        except BaseException:
            connection.close()
            raise
        connection.close()
        raise Failed(answer.status, said, float(answer.headers.get("Retry-After") or 0) or None)


def _parts(files: Mapping[str, Path], settings: Mapping[str, object], boundary: str) -> Iterator[bytes | Path]:
    """A form as its pieces: bytes, and files to be read."""
    for name, value in settings.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, path in files.items():
        called = path.name.replace('"', "%22").replace("\r", "").replace("\n", "")
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{called}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        yield path
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _bytes(parts: Sequence[bytes | Path]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, bytes):
            yield part
        else:
            with part.open("rb") as file:
                while block := file.read(BLOCK):
                    yield block


def main(args: Sequence[str] | None = None) -> int:
    """What `python -m web.client` does.  Returns the exit code, that of the server's problem if there is one."""
    parser = Parser("Has a server make a face speak.", prog="python -m web.client")
    parser.add_argument("video", type=reads)
    parser.add_argument("audio", type=reads, nargs="?", help="the words; or --text")
    parser.add_argument("result", type=writes)
    parser.add_argument("--text", help="words for the server's voice to say, if it has one")
    parser.add_argument("--server", default="http://127.0.0.1:7860", metavar="URL",
                        help="%(default)s; its password is that of LIPSYNC_PASSWORD")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
                        help="a setting, by the name of its flag of generate.py")  # fmt: skip
    options = parser.parse_intermixed_args(args)

    def run() -> None:
        guard(parser, options)
        if (options.audio is None) == (options.text is None):
            raise BadInput("the words are a sound, VIDEO AUDIO RESULT, or typed, VIDEO RESULT --text TEXT; give one")
        files = {name: getattr(options, name) for name in ("video", "audio") if getattr(options, name) is not None}
        for path in files.values():
            if not path.is_file():
                raise BadInput(f"{path}: no such file; check the path")
        settings = dict(setting.partition("=")[::2] for setting in options.settings)
        client = Client(options.server, os.environ.get("LIPSYNC_PASSWORD"))
        if options.text is not None:
            settings["audio"] = client.speak(options.text)["id"]
        job = client.submit(files, **settings)["id"]
        client.wait(job, _say)
        client.download(job, options.result)
        print(options.result)

    return exit_code(run, stopped="stopped; the server goes on, the same command asks for its result")


def _say(seen: Mapping[str, Any]) -> None:
    progress, where = seen["progress"], "begins"
    if seen["status"] == "queued":
        where = f"after {seen['position']} others"
    elif progress:
        where = f"{progress['stage']} {progress['done']}/{progress['of']}"
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{seen['status']}: {where}    ")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
