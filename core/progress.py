"""How far a program is: a bar for a person, or with --json a line for another program.

While `json_lines` is open, each of these is an object on a line of standard output, and nothing else is:

    {"event": "progress", "stage": "speak", "done": 40, "total": 121, "unit": "frame"}    twice a second at most
    {"event": "message", "text": "..."}                                                   what is said on standard error
    {"event": "error", "code": 2, "text": "..."}                                          the last line, of what failed

Programs `tell` more (docs/generation.md has all of generate.py's).
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TextIO

from tqdm import tqdm

PAUSE = 0.5  # seconds between two lines of one stage
_out: TextIO | None = None
_one_at_a_time = threading.Lock()
Told = Callable[[str, int, int], object]
"""Called with a stage, how much of it is done, and of how much; from whichever thread moves its bar."""
_TOLD: ContextVar[Told | None] = ContextVar("told", default=None)
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_said: set[str] = set()


@contextmanager
def json_lines(*, wanted: bool) -> Iterator[None]:
    """While it is open, and if wanted, standard output has lines of JSON, and standard error what is printed."""
    global _out
    if not wanted:
        yield
        return
    before = _out, sys.stdout
    _out, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        _out, sys.stdout = before


@contextmanager
def telling(told: Told | None) -> Iterator[None]:
    """While it is open, every bar that is begun within tells `told` of each step, too."""
    token = _TOLD.set(told)
    try:
        yield
    finally:
        _TOLD.reset(token)


@contextmanager
def asking(check: Callable[[], object]) -> Iterator[None]:
    """While it is open, every bar that is begun within calls `check` at each step, which may raise what ends it."""
    before = _TOLD.get()

    def told(stage: str, done: int, total: int) -> None:
        check()
        if before is not None:
            before(stage, done, total)

    with telling(told):
        yield


def tell(event: str, **values: object) -> None:
    """A line of what happened, if there are lines."""
    if _out is not None:
        with _one_at_a_time, suppress(OSError, ValueError):
            _out.write(json.dumps({"event": event, **values}, default=str) + "\n")
            _out.flush()


def say(sentence: str) -> None:
    """Tells a person, beside a progress bar, and whoever reads lines."""
    tqdm.write(sentence, file=sys.stderr)
    tell("message", text=sentence)


def say_once(sentence: str, about: str | None = None) -> None:
    """`say`, unless the same, or anything about the same, was said before; with `say_anew` it is said again."""
    with _one_at_a_time:
        if _quiet.get() or (about or sentence) in _said:
            return
        _said.add(about or sentence)
    say(sentence)


def say_anew() -> None:
    """For another piece of work of this process: what was said of the last one's is said again of this one's."""
    with _one_at_a_time:
        _said.clear()


@contextmanager
def quiet(*, wanted: bool = True) -> Iterator[None]:
    """While it is open, and if wanted, what would be said once is left to another process, which says it too."""
    token = _quiet.set(wanted or _quiet.get())
    try:
        yield
    finally:
        _quiet.reset(token)


class Bar(tqdm):  # type: ignore[misc]
    """tqdm's bar, which also tells; with disable=True it does neither."""

    def __init__(self, *, total: int, desc: str, unit: str, disable: bool | None = None) -> None:
        super().__init__(total=total, desc=desc, unit=unit, disable=disable)
        self._stage, self._all, self._unit, self._done, self._said = desc, total, unit, 0, 0.0
        self._tells, self._told = disable is not True, _TOLD.get()

    def update(self, n: float | None = 1) -> bool | None:
        """As tqdm's."""
        self._done += int(n or 0)
        if self._tells and self._told is not None:
            self._told(self._stage, self._done, self._all)
        now = time.monotonic()
        if self._tells and (now - self._said >= PAUSE or self._done >= self._all):
            self._said = now
            tell("progress", stage=self._stage, done=self._done, total=self._all, unit=self._unit)
        shown: bool | None = super().update(n)
        return shown
