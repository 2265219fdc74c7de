"""Signals that ask a run to stop are remembered, and obeyed when the running step is whole."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from core.program import ASKING


class Interrupt:
    """While it is open, true once a signal has asked to stop.  A second Ctrl-C does not wait.

    Only the main thread receives signals; in another one it stays false.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, object] = {}

    def __call__(self) -> bool:
        return self._asked

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in ASKING:
                number = getattr(signal, name, None)
                unheard = name == "SIGHUP" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # under nohup
                if number is not None and not unheard:
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True


def stay(worker: int) -> None:
    """For a data loader's workers (worker_init_fn): signals to the whole group of processes are for the run alone.

    Slurm and Ctrl-C send them to all; a worker that dies would end the running step with it.
    """
    for name in ASKING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
