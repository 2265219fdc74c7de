"""What every thread did when, as a file that Perfetto (ui.perfetto.dev) and chrome://tracing show.

The form is Google's "Trace Event Format": an object with `traceEvents`, complete events ("ph": "X") whose `ts` and
`dur` are microseconds, and metadata events ("ph": "M") that name threads and the process.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.atomic import save_atomically

MOST = 1_000_000  # events: about 100 MB


class Trace:
    """Stretches of time of any threads, from the moment it is made; of very many the first MOST."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._events: list[dict[str, object]] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()

    def add(self, name: str, start: float, stop: float) -> None:
        """The current thread was at something from `start` to `stop`, seconds of time.monotonic."""
        thread = threading.current_thread().name, threading.get_ident()
        with self._lock:
            number = self._numbers.setdefault(thread, len(self._numbers) + 1)
            if len(self._events) < MOST:
                self._events.append({
                    "name": name, "ph": "X", "pid": os.getpid(), "tid": number,
                    "ts": round((start - self._begin) * 1e6, 1), "dur": round((stop - start) * 1e6, 1),
                })  # fmt: skip

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Notes what is done within."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.add(name, start, time.monotonic())

    def write(self, path: Path) -> None:
        """The file, by a rename.  OSError if it cannot be written."""
        pid = os.getpid()
        names = {number: thread for (thread, _), number in self._numbers.items()}
        named = [
            {"name": "thread_name", "ph": "M", "pid": pid, "tid": number, "args": {"name": thread}}
            for number, thread in names.items()
        ]
        document = json.dumps({"displayTimeUnit": "ms", "traceEvents": named + self._events})
        save_atomically(path, lambda temporary: temporary.write_text(document, encoding="utf-8"))


@contextmanager
def profiled(path: Path | None) -> Iterator[Trace | None]:
    """A trace that is written there once all is done; None for no path."""
    trace = None if path is None else Trace()
    yield trace
    if trace is not None and path is not None:
        trace.write(path)
