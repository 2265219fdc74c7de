"""The WebSocket of a face that speaks as sound comes, see docs/web.md.  It is no WebRTC: TCP, and JPEGs.

A client that reads too slowly loses pictures, never sound: where even without these too much waits for it, it is not
read from until it has caught up.  Nor is one that sends quicker than the sound is heard.
"""

import asyncio
import base64
import json
import struct
import threading
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from audio import SAMPLE_RATE
from core.errors import BadValue, LipSyncError
from web.crew import Crew, Gone, Process
from web.files import Files
from web.order import STREAM, Order
from web.problems import Refused, told

HEAD = struct.Struct("<dI")
"""What a message of sound and picture begins with: the second of the sound, how many bytes of PCM16 follow; then that
sound, then a JPEG, or nothing where the picture before stays."""
AHEAD = 10.0  # seconds of sound that a client may be ahead
PICTURES = 25  # that wait for a client at most
WAITING = 1500  # messages that do, a minute of sound, before the client is not read from
SILENT = 30.0  # seconds without a message, after which a stream is over
STARTS = 15.0  # seconds in which the first message must come
ENDS = 10.0  # seconds in which a worker must stop
KNOWN = ("face", "style_video", "settings", "lookahead")


@dataclass
class Outbox:
    """Messages on their way to a client: pictures are left out where too many wait."""

    loop: asyncio.AbstractEventLoop
    left_out: int = 0
    _waiting: deque[str | tuple[bytes, bytes]] = field(default_factory=deque)
    _there: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, message: Mapping[str, Any]) -> None:
        """A line of JSON; from any thread."""
        self.loop.call_soon_threadsafe(self._add, json.dumps(message))

    def packet(self, head: bytes, jpeg: bytes) -> None:
        """Sound, and a picture or nothing; from any thread."""
        self.loop.call_soon_threadsafe(self._add, (head, jpeg))

    def _add(self, message: str | tuple[bytes, bytes]) -> None:
        self._waiting.append(message)
        pictures = [place for place, one in enumerate(self._waiting) if not isinstance(one, str) and one[1]]
        if len(pictures) > PICTURES:
            place = pictures[0]
            self._waiting[place] = (self._waiting[place][0], b"")  # type: ignore[assignment]
            self.left_out += 1
        self._there.set()

    @property
    def full(self) -> bool:
        """Whether no more sound should be taken."""
        return len(self._waiting) > WAITING

    async def next(self) -> str | bytes:
        """The next one, waited for."""
        while not self._waiting:
            self._there.clear()
            await self._there.wait()
        message = self._waiting.popleft()
        return message if isinstance(message, str) else b"".join(message)


class Session:
    """One client's stream: what it asked for, and the worker that has it."""

    def __init__(self, files: Files, crew: Crew, asked: "Asked", longest: float, outbox: Outbox) -> None:
        self._files, self._crew, self._asked, self._longest = files, crew, asked, longest
        self.outbox, self._name = outbox, token_hex(8)
        self._process: Process | None = None
        self._wanted, self._ready = threading.Event(), asyncio.Event()
        self._wanted.set()
        self._sent, self._heard = 0.0, 0.0  # seconds of sound that the worker was given, and handed out
        self._ended = False

    def run(self) -> None:
        """All of it, in a thread; says `done` or an error at the end."""
        asked = self._asked
        try:
            order = self._files.stream_order(asked.owner, asked.order)
            with self._crew.device(self._wanted.is_set, lambda: self.outbox.put({"status": "waiting"})) as process:
                self.outbox.put({"status": "preparing"})
                self._process = process
                answer = process.ask({**order, "stream": self._name, "lookahead": asked.lookahead}, self._take)
        except Refused as refused:
            self.outbox.put({"status": "refused", **told(str(refused))})
            return
        except Gone:
            self.outbox.put({"status": "failed", **told("the stream was stopped; open another", 1)})
            return
        finally:
            self._process = None
        if "error" in answer:
            sentence = self._files.without_paths(asked.owner, asked.order, str(answer["error"]))
            self.outbox.put({"status": "failed", **told(sentence, int(answer["exit_code"]))})
        else:
            self.outbox.put({"status": "done", "report": {**answer["answer"], "left_out": self.outbox.left_out}})

    def _take(self, said: Mapping[str, Any]) -> None:
        if "ready" in said:
            self.outbox.loop.call_soon_threadsafe(self._ready.set)  # first: a client may answer at once
            self.outbox.put({"status": "ready", **said["ready"]})
        elif "packet" in said:
            packet = said["packet"]
            sound, jpeg = base64.b64decode(packet["sound"]), base64.b64decode(packet["jpeg"] or "")
            self._heard = max(self._heard, float(packet["time"]))
            self.outbox.packet(HEAD.pack(packet["time"], len(sound)) + sound, jpeg)
        elif "stage" in said:
            self.outbox.put({"status": "preparing", **{name: said[name] for name in ("stage", "done", "of")}})

    async def receive(self, socket: WebSocket) -> None:
        """Hands the sound of a client on until it ends.  BadInput for what is none."""
        while True:
            try:
                message = await asyncio.wait_for(socket.receive(), SILENT)
            except TimeoutError:
                if not self._ready.is_set():
                    continue
                self._end()
                return
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            if (pcm := message.get("bytes")) is not None:
                await self._hand_on(pcm)
            elif _json(message.get("text")).get("end"):
                self._end()
            else:
                raise BadValue('a stream takes PCM16 as binary messages, and {"end": true}; send one of these')

    async def _hand_on(self, pcm: bytes) -> None:
        if not self._ready.is_set():
            raise BadValue("sound came before the face was ready; send it after the message that says so")
        if len(pcm) % 2:
            raise BadValue(f"{len(pcm)} bytes are no 16-bit samples; send whole ones, mono, 16,000 a second")
        for start in range(0, len(pcm), 2 * SAMPLE_RATE):  # a second at a time
            part = pcm[start : start + 2 * SAMPLE_RATE]
            while (self._sent - self._heard > AHEAD or self.outbox.full) and self._process is not None:
                await asyncio.sleep(0.05)
            if self._ended:
                return
            self._sent += len(part) / 2 / SAMPLE_RATE
            await run_in_threadpool(self._tell, {"sound": base64.b64encode(part).decode()})
            if self._sent >= self._longest:
                self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._tell({"end": True})

    def _tell(self, message: Mapping[str, Any]) -> None:
        if (process := self._process) is not None:
            process.tell({"stream": self._name, **message})

    async def stop(self, work: "asyncio.Future[None]") -> None:
        """Nobody listens any more: the worker stops, or is ended."""
        self._wanted.clear()
        self._tell({"stop": True})
        _, pending = await asyncio.wait([work], timeout=ENDS)
        if pending and (process := self._process) is not None:
            await run_in_threadpool(process.end)
            await asyncio.wait([work])


async def serve(
    socket: WebSocket, files: Files, crew: Crew, owner: str, longest: float, extras: Collection[str] = ()
) -> None:
    """A client's stream from its first message to its last.  extras: networks that the server was started with."""
    await socket.accept()
    outbox = Outbox(asyncio.get_running_loop())
    try:
        asked = _asked(owner, await asyncio.wait_for(socket.receive_text(), STARTS))
        asked.order.check(extras)
    except (TimeoutError, KeyError, WebSocketDisconnect):
        await _close(socket, told('the first message of a stream is text: {"face": ID of an upload}; send that'))
        return
    except LipSyncError as problem:
        await _close(socket, told(str(problem)))
        return
    session = Session(files, crew, asked, longest, outbox)
    work = asyncio.ensure_future(asyncio.to_thread(session.run))
    receiving, sending = (asyncio.ensure_future(one) for one in (session.receive(socket), _send(socket, outbox)))
    try:
        done, _ = await asyncio.wait([receiving, sending], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
        await sending  # where nothing came for long, the rest is still said
    except LipSyncError as problem:
        await _close(socket, told(str(problem)))
    except WebSocketDisconnect:
        pass  # the client has left
    finally:
        for task in (receiving, sending):
            task.cancel()
        await asyncio.gather(receiving, sending, return_exceptions=True)
        await session.stop(work)


async def _send(socket: WebSocket, outbox: Outbox) -> None:
    """Until the last word, after which it is closed."""
    while True:
        message = await outbox.next()
        if isinstance(message, bytes):
            await socket.send_bytes(message)
            continue
        await socket.send_text(message)
        if json.loads(message)["status"] in ("done", "failed", "refused"):
            await socket.close(1000)
            return


async def _close(socket: WebSocket, problem: Mapping[str, Any]) -> None:
    try:
        await socket.send_text(json.dumps({"status": "failed", **problem}))
        await socket.close(1008)
    except (WebSocketDisconnect, RuntimeError):
        pass  # the client has left


@dataclass(frozen=True)
class Asked:
    """What a client's first message asks for."""

    owner: str
    order: Order
    lookahead: float | None


def _asked(owner: str, text: str) -> Asked:
    """Raises BadInput for what cannot be."""
    asked = _json(text)
    if unknown := sorted(set(asked) - set(KNOWN)):
        raise BadValue(f"{', '.join(unknown)}: unknown; a stream begins with {', '.join(KNOWN)}")
    if not (face := asked.get("face")):
        raise BadValue("face: a stream shows one; send the id of an upload (POST /uploads) under this name")
    names = {"video": face, "style_video": asked.get("style_video")}
    settings, lookahead = asked.get("settings") or {}, asked.get("lookahead")
    if not isinstance(settings, dict):
        raise BadValue("settings: are names with values; send an object")
    if lookahead is not None and not (isinstance(lookahead, (int, float)) and 0 < lookahead <= AHEAD):
        raise BadValue(f"lookahead {lookahead}: seconds, above 0 and up to {AHEAD:g}; choose another")
    uploads = {what: str(name) for what, name in names.items() if name is not None}
    return Asked(owner, Order(STREAM, uploads, {name: str(value) for name, value in settings.items()}), lookahead)


def _json(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadValue("a text message of a stream is a JSON object; see docs/web.md")
    return found
