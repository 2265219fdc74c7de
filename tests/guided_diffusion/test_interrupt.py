"""A signal is remembered while somebody cares, and is again what it was after that."""

import os
import signal
from threading import Thread

import pytest

from guided_diffusion.engine.signals import ASKING, Interrupt


@pytest.mark.parametrize("name", ASKING)
def test_it_remembers_a_signal_and_gives_the_handlers_back(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with Interrupt() as asked:
        assert not asked()
        os.kill(os.getpid(), number)
        assert asked()
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_not_wait_but_a_second_signal_of_the_system_does() -> None:
    with Interrupt() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_where_no_signals_arrive_it_stays_false() -> None:
    found: list[bool] = []

    def elsewhere() -> None:
        with Interrupt() as asked:
            found.append(asked())

    thread = Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [False]
