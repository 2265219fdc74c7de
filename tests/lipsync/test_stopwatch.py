"""A stage is charged for its own time; what several threads are at together counts once."""

import json
import threading
import time
from pathlib import Path

import pytest

from lipsync.stopwatch import WAITING, Stopwatch
from lipsync.trace import Trace, profiled


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
    assert watch.seconds == {"encode": 3, "read": 5} and watch.elapsed == 8 and not watch.waited


def test_waiting_within_a_stage_counts_for_none(clock: list[float]) -> None:
    watch = Stopwatch()

    def pictures():  # type: ignore[no-untyped-def]
        clock[0] += 5
        yield 1

    with watch("encode"):
        assert list(watch.iterate(WAITING, pictures())) == [1]
        clock[0] += 1
    assert watch.seconds == {"encode": 1} and watch.elapsed == 1


def beside(watch: Stopwatch, stage: str, begun: threading.Event, end: threading.Event) -> threading.Thread:
    def run() -> None:
        with watch(stage):
            begun.set()
            end.wait()

    thread = threading.Thread(target=run, name=f"{stage} thread")
    thread.start()
    begun.wait()
    return thread


def test_what_threads_are_at_together_counts_once(clock: list[float]) -> None:
    trace = Trace()
    watch = Stopwatch(trace)
    with watch("detect"):
        clock[0] += 1
    with watch.side_by_side(("read", "generate", "paste")):
        ends = [threading.Event() for _ in range(3)]
        threads = []
        for stage, end in zip(("read", "generate", "generate"), ends, strict=True):
            threads.append(beside(watch, stage, threading.Event(), end))
            clock[0] += 1
        for end, thread in zip(ends, threads, strict=True):
            end.set()
            thread.join()
            clock[0] += 1
    assert watch.seconds == {"detect": 1, "read": 3, "generate": 4} and watch.elapsed == 6
    assert watch.waited == {"read": 3, "generate": 2}


def test_the_trace_is_what_perfetto_reads(tmp_path: Path, clock: list[float]) -> None:
    """An object of Google's Trace Event Format: microseconds from the start, threads named, stretches that nest."""
    path = tmp_path / "new folder" / "trace.json"
    with profiled(path) as trace:
        assert trace is not None
        clock[0] += 2
        watch = Stopwatch(trace)
        with watch("encode"):
            clock[0] += 1
            with watch("read"):
                clock[0] += 0.5
        end = threading.Event()
        thread = beside(watch, "paste", threading.Event(), end)
        clock[0] += 0.25
        end.set()
        thread.join()
        assert not path.exists()
    events = json.loads(path.read_text())["traceEvents"]
    named = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    done = [(named[e["tid"]], e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X" and e["dur"]]
    assert done == [
        ("MainThread", "encode", 2e6, 1e6), ("MainThread", "read", 3e6, 0.5e6),
        ("paste thread", "paste", 3.5e6, 0.25e6),
    ]  # fmt: skip
    assert {event["ph"] for event in events} == {"M", "X"} and all("pid" in event for event in events)


def test_without_a_path_nothing_is_noted() -> None:
    with profiled(None) as trace:
        assert trace is None
