"""Starts the page and the server:  python -m web [--api]"""

import argparse
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from core.errors import BadInput
from core.flags import Parser
from core.guard import guard, reads, writes_into
from core.lock import acquire, release
from core.program import exit_code
from lipsync.settings import NETWORKS
from web.networks import add_networks, as_flags, networks_of, stamp

MIB, GIB = 1 << 20, 1 << 30
SHORTEST = 12  # characters of a password
LAST_PORT = 65535
MOST = 1024  # threads
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
TRIED = {"auto", "cpu"}  # devices that are on every machine
STOPPED = "stopped; what was being made goes on at the next start"


def parser() -> argparse.ArgumentParser:
    """The flags."""
    p = Parser(
        prog="python -m web", description="A page that makes faces speak, and an HTTP API; see docs/web.md.",
        allow_abbrev=False,
    )  # fmt: skip
    p.add_argument("--api", action="store_true", help="the API alone, without the page")
    p.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                   help="address to listen on (%(default)s); any but this machine's own needs a password")
    p.add_argument("--port", type=int, default=7860, help="0: any that is free (%(default)s)")
    p.add_argument("--password_file", type=reads, metavar="FILE",
                   help="the password that is asked for is the first line of this file; or set LIPSYNC_PASSWORD")
    p.add_argument("--data", type=writes_into, default=_data(), metavar="DIR",
                   help="where uploads, results and the queue lie (%(default)s)")
    p.add_argument("--model_path", type=reads, metavar="FILE", help="checkpoint (the style model that ships)")
    add_networks(p)
    p.add_argument("--voice", metavar="espeak[:LANGUAGE]",
                   help="typed text is said too, by eSpeak NG, a robot's voice (en); see docs/web.md")
    p.add_argument("--device", default="auto", metavar="NAMES",
                   help="auto, cpu or cuda; several for a worker each: cuda:0,cuda:1 (%(default)s)")
    p.add_argument("--threads", type=int, metavar="N", help="of each worker on a CPU (all cores)")
    p.add_argument("--max_upload", type=float, default=500, metavar="MIB", help="of a request (%(default)g)")
    p.add_argument("--max_seconds", type=float, default=600, metavar="S", help="of a video or sound (%(default)g)")
    p.add_argument("--max_queue", type=int, default=20, metavar="N", help="jobs that wait (%(default)s)")
    p.add_argument("--max_stored", type=float, default=20, metavar="GIB", help="of all uploads together (%(default)g)")
    p.add_argument("--keep_hours", type=float, default=24, metavar="H",
                   help="after which results and uploads are deleted (%(default)g)")  # fmt: skip
    return p


def main(args: Sequence[str] | None = None) -> int:
    """What `python -m web` does.  Returns the exit code."""
    options = parser().parse_args(args)
    return exit_code(lambda: _serve(options), stopped=STOPPED)


def _data() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "lip-sync"


def _serve(options: argparse.Namespace) -> None:
    password = _password(options)
    _check(options)
    guard(parser(), options)
    devices, networks = _devices(options.device), networks_of(options)
    try:
        import fastapi_offline  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
        import websockets  # noqa: F401
    except ImportError as problem:
        raise BadInput(
            f"{problem.name} is not installed, which the page and the server need; run {sys.executable} -m pip install"
            " -r requirements-web.txt"
        ) from problem
    from web.app import Limits, Service, make_app
    from web.crew import Crew
    from web.espeak import Voice
    from web.files import Files

    voice = None if options.voice is None else Voice.named(options.voice)
    listening = _listen(options.host, options.port)
    made_by = stamp(options.model_path, networks)
    with listening, closing(Files(options.data, made_by)) as files, _alone(files.root):
        flags = ["--model", str(options.model_path.absolute())] if options.model_path else []
        flags += ["--threads", str(options.threads)] if options.threads else []
        flags += as_flags(networks)
        crew = Crew(files.store, files, devices, flags)
        if options.model_path is not None or networks or not set(devices) <= TRIED:
            crew.check()
        limits = Limits(
            round(options.max_upload * MIB), options.max_seconds, options.max_queue, options.keep_hours * 3600,
            round(options.max_stored * GIB),
        )  # fmt: skip
        extras = [name for name in NETWORKS if name in networks]
        app = make_app(Service(files, crew, limits, extras, voice), password=password, page=not options.api)
        host, port = listening.getsockname()[:2]
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        print(f"{where}{'/docs' if options.api else '/'}", flush=True)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3, server_header=False)
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """BadInput if another server uses this folder."""
    try:
        handle = acquire(folder / "lock", folder)
    except BadInput as problem:
        raise BadInput(f"--data {folder}: another server uses this folder; stop that, or name another") from problem
    try:
        yield
    finally:
        release(folder / "lock", handle)


def _check(options: argparse.Namespace) -> None:
    """BadInput for figures that mean nothing, or a model that is not there."""
    for name in ("max_upload", "max_seconds", "max_queue", "max_stored", "keep_hours", "threads"):
        value = getattr(options, name)
        if value is not None and not 0 < value < 1e9:
            raise BadInput(f"--{name} {value:g}: give a number above 0")
    if not 0 <= options.port <= LAST_PORT:
        raise BadInput(f"--port {options.port}: give a number up to {LAST_PORT}, or 0 for any that is free")
    if (options.threads or 0) > MOST:
        raise BadInput(f"--threads {options.threads}: give a number up to {MOST}")
    if options.model_path is not None and not options.model_path.exists():
        raise BadInput(f"--model_path {options.model_path}: no such file; check the path")


def _devices(text: str) -> list[str]:
    """The names in --device.  BadInput for one that no machine has, or the same twice; torch is not asked here."""
    names = [name.strip() for name in text.split(",")]
    if wrong := next((name for name in names if name and not DEVICE.fullmatch(name)), None):
        raise BadInput(f"--device {wrong}: unknown; use auto, cpu, cuda, cuda:1 or mps")
    if "" in names or len(set(names)) < len(names):
        raise BadInput(f"--device {text}: name each device once, as in cuda:0,cuda:1")
    return names


def _password(options: argparse.Namespace) -> str | None:
    """BadInput if others may come in without one, or with one that is easily guessed."""
    found = os.environ.get("LIPSYNC_PASSWORD")
    if options.password_file is not None:
        try:
            found = options.password_file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise BadInput(
                f"--password_file {options.password_file}: cannot be read ({problem}); check the path"
            ) from problem
    if found is not None and len(found) < SHORTEST:
        raise BadInput(f"the password is shorter than {SHORTEST} characters; choose a longer one")
    if found is None and not _is_loopback(options.host):
        raise BadInput(
            f"--host {options.host}: others could reach this server; pass --password_file FILE, or leave --host out"
        )
    return found


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens: from here on clients wait rather than fail.  BadInput if it cannot."""
    listening = None
    try:
        kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(kind, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except (OSError, OverflowError) as problem:
        if listening is not None:
            listening.close()
        raise BadInput(
            f"--host {host} --port {port}: cannot listen there ({problem}); choose another port"
        ) from problem
    return listening


if __name__ == "__main__":
    sys.exit(main())
