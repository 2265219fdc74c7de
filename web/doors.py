"""Who may come in, and with how much: an ASGI layer before the application.

    password    asked for by HTTP Basic (browsers) or as a Bearer token (programs), if there is one
    host        without a password the names of the loopback alone, so that no other site can pass for this one
    origin      a page of another site cannot send anything here
    size        a request has a largest size, whatever it says of itself
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import compare_digest
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.problems import Refused, told

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""What a page may load: what this server has, and nothing else."""
EXTRA = 1 << 20  # bytes of a request beside its files


@dataclass
class Doors:
    """Lets requests through to `app`, or answers itself.  password: None for none; largest: bytes of a request."""

    app: ASGIApp
    password: str | None
    largest: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As of any ASGI application."""
        if scope["type"] == "websocket":
            await self._stream(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.largest + EXTRA:
                raise self._too_large()
            return message

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers(scope["path"])]
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check(headers, scope["method"])
        except Refused as refused:
            await _answer(headed, refused)
            return
        await self.app(scope, counted, headed)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket sends, whatever its method: a page of another site opens none."""
        try:
            self._check(Headers(scope=scope), "POST")
        except Refused as refused:
            await receive()
            await _answer(send, refused, "websocket.http.response")
            return
        await self.app(scope, receive, send)

    def _check(self, headers: Headers, method: str) -> None:
        if self.password is not None:
            if not _knows(headers.get("authorization", ""), self.password):
                raise Refused(401, "the password is missing or wrong; send it as Authorization: Bearer PASSWORD")
        elif urlsplit(f"//{headers.get('host', '')}").hostname not in LOOPBACK:
            raise Refused(421, "this server answers to localhost alone; start it with --host and a password for others")
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != headers.get("host")
        if foreign and method not in ("GET", "HEAD", "OPTIONS"):
            raise Refused(403, f"a page of {origin} may send nothing here; open the page of this server")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.largest + EXTRA:
            raise self._too_large()

    def _too_large(self) -> Refused:
        return Refused(413, f"the request has more than {self.largest / 2**20:g} MiB; send smaller files")

    @staticmethod
    def _headers(path: str) -> list[tuple[bytes, bytes]]:
        policy = f"{POLICY}; script-src 'self' 'unsafe-inline'" if path == "/docs" else POLICY
        said = {
            "content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
            "cache-control": "no-store", "cross-origin-resource-policy": "same-origin",
        }  # fmt: skip
        return [(name.encode(), value.encode()) for name, value in said.items()]


def headers_of(refused: Refused) -> Mapping[str, str]:
    """What a refusal says beside its sentence."""
    found: dict[str, str] = {}
    if refused.retry is not None:
        found["Retry-After"] = str(refused.retry)
    if refused.status == 401:
        found["WWW-Authenticate"] = 'Basic realm="lip-sync", charset="UTF-8"'
    return found


def _knows(given: str, password: str) -> bool:
    kind, _, value = given.partition(" ")
    if kind.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    return kind.lower() in ("basic", "bearer") and compare_digest(value.encode(), password.encode())


async def _answer(send: Any, refused: Refused, kind: str = "http.response") -> None:
    headers = {"content-type": "application/json", **headers_of(refused)}
    body = json.dumps(told(str(refused))).encode()
    await send({
        "type": f"{kind}.start", "status": refused.status,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    })  # fmt: skip
    await send({"type": f"{kind}.body", "body": body})
