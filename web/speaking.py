"""A stream in the process that computes: sound of lines in, packets out, each when its time has come.

    {"sound": BASE64 of PCM16}, {"end": true}, {"stop": true}        in: more sound; no more; nobody listens any more;
                                                                     each with the name of the stream
    {"ready": {fps, width, height, lookahead}}                       out, once
    {"packet": {"time": 1.24, "sound": BASE64, "jpeg": BASE64 | null}}
"""

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from audio import SAMPLE_RATE

if TYPE_CHECKING:
    from lipsync.streaming.stream import Stream

QUALITY = 90  # of the JPEGs
KEPT = 60 * SAMPLE_RATE  # samples that were handed out with their pictures, after which they are forgotten


class Speaking:
    """The stream that is being made, if there is one."""

    def __init__(self, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._say, self._lock = say, threading.Lock()
        self._stream: Stream | None = None
        self._sound, self._first = bytearray(), 0
        self._name, self._stopped = "", False

    def begin(self, name: str) -> None:
        """From here on messages for a stream of this name count, although it is not prepared yet."""
        with self._lock:
            self._name, self._stopped = name, False

    def hear(self, message: Mapping[str, Any]) -> None:
        """A line that came; called by the thread that reads them."""
        with self._lock:
            if message.get("stream") != self._name:
                return
            if self._stream is not None:
                self._take(self._stream, message)
            self._stopped = self._stopped or "stop" in message

    def answer(self, stream: "Stream") -> Mapping[str, Any]:
        """Says the packets of a stream until it ends; what became of it."""
        from lipsync.streaming.live import RealClock, play
        from lipsync.streaming.pacing import Pacer

        height, width = stream.size
        with self._lock:
            self._sound, self._first, self._stream = bytearray(), 0, stream
            if self._stopped:
                stream.close()
        try:
            self._say({"ready": {
                "fps": float(stream.fps), "width": width, "height": height, "lookahead": stream.lookahead,
            }})  # fmt: skip
            pacer = Pacer(stream.fps, stream.batch, stream.costs)
            with RealClock.of(stream) as clock:
                for packet in play(stream, clock, pacer, lambda frames: [_jpeg(one) for one in stream.make(frames)]):
                    jpeg = None if packet.picture is None else _text(packet.picture.tobytes())
                    self._say({"packet": {"time": packet.time, "sound": self._heard(packet.samples), "jpeg": jpeg}})
            return asdict(pacer.report)
        finally:
            with self._lock:
                self._stream, self._name = None, ""

    def _take(self, stream: "Stream", message: Mapping[str, Any]) -> None:
        if "sound" in message and not stream.ended:
            pcm = base64.b64decode(message["sound"])
            self._sound += pcm
            stream.push(np.frombuffer(pcm, "<i2").astype(np.int16))
        elif "end" in message:
            stream.finish()
        elif "stop" in message:
            stream.close()

    def _heard(self, samples: range) -> str:
        """PCM16 of these samples; those before them are forgotten."""
        with self._lock:
            first, stop = (2 * (sample - self._first) for sample in (samples.start, samples.stop))
            pcm = bytes(self._sound[first:stop]) if samples else b""
            if samples.start - self._first > KEPT:
                del self._sound[:first]
                self._first = samples.start
        return _text(pcm)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _jpeg(picture: np.ndarray) -> np.ndarray:
    """u8 [h, w, 3] RGB -> the bytes of its JPEG, u8 [n]."""
    import cv2

    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done, "OpenCV writes JPEG"
    return data.ravel()
