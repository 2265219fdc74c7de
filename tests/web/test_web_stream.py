"""What a program is promised by the server's WebSocket: sound in, sound and pictures out, one stream a device."""

import asyncio
import base64
import json
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.helpers.web_server import Server, ask, serving
from web.client import Client

sync = pytest.importorskip("websockets.sync.client", reason="websockets is not installed (requirements-web.txt)")
pytest_plugins = ("tests.helpers.web_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
HEAD = struct.Struct("<dI")
SETTINGS = {"box": "20,170,70,180", "strict_pose": "force"}


def upload(server: Server, path: Path) -> str:
    client = Client(server.url)
    return str(client._json("POST", "/uploads", {"video": path}, {})["id"])


@contextmanager
def opened(server: Server, begin: dict[str, Any], **headers: str) -> Iterator[Any]:
    url = server.url.replace("http", "ws", 1) + "/stream"
    with sync.connect(url, additional_headers=headers, open_timeout=30) as socket:
        socket.send(json.dumps(begin))
        yield socket


def until(socket: Any, status: str) -> dict[str, Any]:
    while True:
        message = socket.recv(timeout=60)
        if isinstance(message, str) and (said := json.loads(message))["status"] != "preparing":
            assert said["status"] == status, said
            return dict(said)


def spoken(socket: Any, pcm: np.ndarray) -> tuple[list[float], list[np.ndarray], np.ndarray, dict[str, Any]]:
    """All of a stream: times, pictures, the sound, the report."""
    socket.send(pcm.tobytes())
    socket.send(json.dumps({"end": True}))
    times: list[float] = []
    pictures: list[Any] = []
    heard: list[np.ndarray] = []
    while isinstance(message := socket.recv(timeout=60), bytes):
        moment, size = HEAD.unpack_from(message)
        times.append(moment)
        heard.append(np.frombuffer(message[HEAD.size : HEAD.size + size], "<i2"))
        if jpeg := message[HEAD.size + size :]:
            pictures.append(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
    last = json.loads(message)
    assert heard, last
    return times, pictures, np.concatenate(heard), last


def test_a_client_that_answers_at_once_is_heard() -> None:
    """On a busy machine the thread that says "ready" may be put off right after it."""
    stream = pytest.importorskip("web.stream")

    class PutOff(stream.Outbox):  # type: ignore[misc, name-defined]
        def put(self, message: Mapping[str, Any]) -> None:
            super().put(message)
            time.sleep(0.2)

    async def answered() -> None:
        session = stream.Session(None, None, None, 20.0, PutOff(asyncio.get_running_loop()))
        saying = asyncio.ensure_future(asyncio.to_thread(session._take, {"ready": {}}))
        assert json.loads(await session.outbox.next())["status"] == "ready"
        await session._hand_on(b"ab")
        await saying

    asyncio.run(answered())


def test_the_sound_for_a_client_that_reads_too_slowly_waits_for_it() -> None:
    stream = pytest.importorskip("web.stream")
    pcm, given = bytes(range(256)) * 250, bytearray()

    class Worker:
        def tell(self, message: Mapping[str, Any]) -> None:
            given.extend(base64.b64decode(message["sound"]))

    async def heard() -> None:
        outbox = stream.Outbox(asyncio.get_running_loop())
        session = stream.Session(None, None, None, 20.0, outbox)
        session._ready.set()
        session._process = Worker()
        for number in range(stream.WAITING + 1):
            outbox.packet(number.to_bytes(2, "big"), b"")
        await asyncio.sleep(0)
        handing = asyncio.ensure_future(session._hand_on(pcm))
        await asyncio.sleep(0.2)
        assert not given and not handing.done()  # it is not read from
        assert [await outbox.next() for _ in range(2)] == [b"\0\0", b"\0\1"]
        await handing

    asyncio.run(heard())
    assert given == pcm


def test_sound_is_handed_out_as_it_came_however_long_it_goes_on() -> None:
    from web.speaking import KEPT, Speaking

    class Pushed:
        ended = False

        def push(self, sound: np.ndarray) -> None:
            pass

    speaking, sound = Speaking(lambda _: None), np.random.default_rng(0).integers(-9000, 9000, 3 * KEPT).astype("<i2")
    speaking.begin("me")
    speaking._stream, held = Pushed(), 0  # type: ignore[assignment]
    for start in range(0, len(sound), 16_000):
        part = sound[start : start + 16_000].tobytes()
        speaking.hear({"stream": "me", "sound": base64.b64encode(part).decode()})
        assert base64.b64decode(speaking._heard(range(start, start + 16_000))) == part
        held = max(held, len(speaking._sound) // 2)
    assert KEPT <= held <= KEPT + 2 * 16_000  # samples, a minute of them


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Server]:
    """A server of its own: a job that other tests left would hold the device."""
    flags = ("--max_seconds", "20", "--max_upload", "2", "--max_queue", "50")
    with serving(tmp_path_factory.mktemp("server") / "data", model, *flags) as found:
        yield found


@pytest.fixture
def face(server: Server, inputs: Path) -> str:
    return upload(server, inputs / "person.mp4")


def test_a_face_says_what_is_sent(server: Server, face: str) -> None:
    pcm = np.random.default_rng(0).integers(-9000, 9000, 24_000).astype("<i2")
    with opened(server, {"face": face, "settings": SETTINGS}) as socket:
        ready = until(socket, "ready")
        assert (ready["fps"], ready["width"], ready["height"]) == (25.0, 256, 192) and 0.3 < ready["lookahead"] < 0.7
        times, pictures, heard, last = spoken(socket, pcm)
    assert np.array_equal(heard, pcm)  # all of it, unchanged
    assert times == sorted(times) and times[0] == 0.0 and times[-1] == pytest.approx(1.48, abs=0.021)
    assert last["status"] == "done" and last["report"]["frames"] == 38
    assert len(pictures) == last["report"]["shown"] > 0 and pictures[0].shape == (192, 256, 3)


def test_a_second_stream_is_refused_and_jobs_wait(server: Server, face: str, inputs: Path) -> None:
    client = Client(server.url)
    with opened(server, {"face": face, "settings": SETTINGS}) as socket:
        until(socket, "ready")
        with opened(server, {"face": face, "settings": SETTINGS}) as other:
            assert "a stream takes the whole device" in until(other, "refused")["error"]
        files = {"video": inputs / "person.mp4", "audio": inputs / "words.wav"}
        job = client.submit(files, box="20,170,70,180", strict_pose="force", seed=77)["id"]
        time.sleep(1)
        assert client.status(job)["status"] == "queued" and b"lipsync_streams 1" in ask(server, "/metrics")[2]
        _, _, _, last = spoken(socket, np.zeros(8000, "<i2"))
        assert last["status"] == "done"
    assert client.wait(job)["status"] == "done"
    with opened(server, {"face": face, "settings": SETTINGS}) as socket:  # the next visitor's turn
        until(socket, "ready")
    end, said = time.monotonic() + 30, ""
    while said != "ready" and time.monotonic() < end:  # one that leaves without a word holds the device for a moment
        with opened(server, {"face": face, "settings": SETTINGS}) as socket:
            while (said := json.loads(socket.recv(timeout=60))["status"]) == "preparing":
                pass
    assert said == "ready"


@pytest.mark.parametrize(
    ("begin", "sentence"),
    [
        ({"face": "nothing"}, "there is no upload nothing of yours"),
        ({}, "face: a stream shows one"),
        ({"face": None}, "face: a stream shows one"),
        ({"face": ""}, "face: a stream shows one"),
        ({"face": "FACE", "settings": {"length": "video"}}, "length: a stream has no end"),
        ({"face": "FACE", "settings": {"qualty": "best"}}, "did you mean quality"),
        ({"face": "FACE", "lookahead": 0.01, "settings": SETTINGS}, "of sound or more"),
        ({"face": "FACE", "lookahead": -1}, "lookahead -1: seconds"),
        ({"face": "FACE", "sound": 1}, "sound: unknown; a stream begins with face"),
    ],
)
def test_what_cannot_be_is_a_sentence(server: Server, face: str, begin: dict[str, Any], sentence: str) -> None:
    begin = {name: face if value == "FACE" else value for name, value in begin.items()}
    with opened(server, begin) as socket:
        while json.loads(message := socket.recv(timeout=60))["status"] == "preparing":
            pass
        said = json.loads(message)
        assert said["status"] in ("failed", "refused") and sentence in said["error"] and said["exit_code"] == 2


def test_half_a_sample_is_refused(server: Server, face: str) -> None:
    with opened(server, {"face": face, "settings": SETTINGS}) as socket:
        until(socket, "ready")
        socket.send(b"abc")
        while isinstance(message := socket.recv(timeout=60), bytes):
            pass
        assert "no 16-bit samples" in json.loads(message)["error"]


def test_doors_are_those_of_the_rest(server: Server, tmp_path: Path, model: Path) -> None:
    from websockets.exceptions import InvalidStatus

    def status(server: Server, **headers: str) -> int:
        try:
            with opened(server, {"face": "x"}, **headers) as socket:
                socket.recv(timeout=30)
                return 101
        except InvalidStatus as problem:
            return int(problem.response.status_code)

    assert status(server) == 101
    assert status(server, Origin=server.url) == 101
    assert status(server, Origin="http://evil.example") == 403
    with serving(tmp_path / "data", model, "--api", LIPSYNC_PASSWORD="correct horse battery") as locked:
        assert status(locked) == 401
        assert status(locked, Authorization="Bearer correct horse battery") == 101
        assert status(locked, Authorization="Bearer correct horse battery", Origin="http://evil.example") == 403


def test_a_server_that_ends_takes_its_streams_along(tmp_path: Path, model: Path, inputs: Path) -> None:
    with serving(tmp_path / "data", model) as server:
        face = upload(server, inputs / "person.mp4")
        with opened(server, {"face": face, "settings": SETTINGS}) as socket:
            until(socket, "ready")
            begun = time.monotonic()
            assert server.end() == 130 and time.monotonic() - begun < 15
