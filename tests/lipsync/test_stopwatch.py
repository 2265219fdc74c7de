"""A stage is charged for its own time; of threads side by side, that which took longest counts."""

import threading
import time

import pytest

from lipsync.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_stage_within_another_is_charged_to_itself_alone(clock: list[float]) -> None:
    watch = Stopwatch()
    with watch("encode"):
        clock[0] += 1
        with watch("read"):
            clock[0] += 5
        clock[0] += 2
    clock[0] += 9
    assert watch.seconds == {"encode": 3, "read": 5}


def test_threads_count_for_themselves_and_the_longest_is_added(clock: list[float]) -> None:
    watch = Stopwatch()
    with watch("detect"):
        clock[0] += 1

    end = threading.Barrier(4)

    def lane(seconds: float, done: threading.Event) -> None:
        with watch("generate"):
            clock[0] += seconds
        done.set()
        end.wait()

    for seconds in (2, 4, 3):
        done = threading.Event()
        threading.Thread(target=lane, args=(seconds, done)).start()
        done.wait()
    end.wait()
    assert watch.seconds == {"detect": 1, "generate": 4}
