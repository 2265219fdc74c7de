"""Threads side by side: everything arrives, in order; whatever ends one side ends the other; none is left behind."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from core.beside import Closed, ahead, behind, beside
from core.progress import Bar, asking, telling
from tests.helpers.failing import fails


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def failing(count: int, problem: BaseException) -> Iterator[int]:
    yield from range(count)
    raise problem


def test_all_items_come_in_their_order() -> None:
    with ahead(range(100), 3, "made") as items:
        assert list(items) == list(range(100))
    used: list[int] = []
    with behind(used.extend, 3, "used") as use:
        for item in range(100):
            use(item)
    assert used == list(range(100))


def test_no_more_are_made_ahead_than_there_is_room_for() -> None:
    made: list[int] = []
    with ahead((made.append(k) or k for k in range(100)), 3, "made") as items:
        assert next(items) == 0
        time.sleep(0.05)
        assert len(made) <= 5


def test_a_writer_waits_for_a_reader_that_is_slow() -> None:
    go, handed = threading.Event(), []

    def work(items: Iterator[int]) -> None:
        go.wait()
        for _ in items:
            pass

    def hand(use) -> None:  # type: ignore[no-untyped-def]
        for k in range(10):
            use(k)
            handed.append(k)

    with behind(work, 2, "used") as use:
        thread = threading.Thread(target=hand, args=(use,))
        thread.start()
        end = time.monotonic() + 60
        while len(handed) < 2 and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(0.05)
        assert len(handed) == 2
        go.set()
        thread.join()


@pytest.mark.parametrize("problem", [ValueError("torn"), MemoryError(), KeyboardInterrupt()])
def test_a_problem_in_making_comes_after_what_was_made_before(problem: BaseException) -> None:
    taken = []
    with pytest.raises(type(problem)), ahead(failing(4, problem), 2, "made") as items:
        for item in items:
            taken.append(item)
    assert taken == [0, 1, 2, 3]


def test_a_reader_that_leaves_ends_the_maker() -> None:
    with ahead(iter(int, 1), 2, "made") as items:  # without end
        assert next(items) == 0


@pytest.mark.parametrize("at", [0, 3])
def test_a_problem_of_the_work_is_raised_to_whom_hands_it_items(at: int) -> None:
    def work(items: Iterator[int]) -> None:
        for item in items:
            if item == at:
                raise ValueError("disk full")

    with fails(ValueError, "disk full"), behind(work, 1, "used") as use:
        for item in range(100):
            use(item)
        raise AssertionError("went on")


def test_a_problem_with_the_last_item_is_raised_at_the_end() -> None:
    def work(items: Iterator[int]) -> None:
        assert list(items) == [1]
        raise ValueError("disk full")

    with fails(ValueError, "disk full"), behind(work, 1, "used") as use:
        use(1)


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), RuntimeError("no picture")])
def test_what_was_handed_over_before_a_problem_is_used_and_the_work_does_not_end_as_if_all_were_there(
    problem: BaseException,
) -> None:
    used, ended = [], []

    def work(items: Iterator[int]) -> None:
        try:
            for item in items:
                used.append(item)
            ended.append("whole")
        finally:
            ended.append("closed")

    with pytest.raises(type(problem)), behind(work, 8, "used") as use:
        for item in range(5):
            use(item)
        raise problem
    assert used == [0, 1, 2, 3, 4] and ended == ["closed"]


def test_a_problem_at_the_far_end_of_a_chain_comes_back_and_one_at_its_start_ends_all() -> None:
    def last(items: Iterator[int]) -> None:
        for item in items:
            if item == 2:
                raise ValueError("disk full")

    def middle(items: Iterator[int]) -> None:
        with behind(last, 1, "last") as use:
            for item in items:
                use(item)

    def chain(first: Iterator[int]) -> None:
        with ahead(first, 1, "first") as made, behind(middle, 1, "middle") as use:
            for item in made:
                use(item)

    with fails(ValueError, "disk full"):
        chain(iter(range(100)))
    with fails(OSError, "torn"):
        chain(failing(2, OSError("torn")))


def test_works_are_done_so_many_at_a_time_in_their_order() -> None:
    begun: list[int] = []
    running = threading.Semaphore(2)

    def work(number: int, check: Callable[[], None]) -> None:
        assert running.acquire(blocking=False), "no more than two at a time"
        begun.append(number)
        check()
        time.sleep(0.01)
        running.release()

    beside([partial(work, number) for number in range(7)], 2, "works")
    assert sorted(begun) == list(range(7))
    for place, number in enumerate(begun):  # of those before it at most one was taken by the other thread and not noted
        assert len(set(range(number)) - set(begun[:place])) <= 1
    beside([], 2, "works")


def test_a_work_that_fails_ends_the_others() -> None:
    closed = threading.Event()

    def endless(check: Callable[[], None]) -> None:
        try:
            while True:
                check()
                time.sleep(0.005)
        except Closed:
            closed.set()
            raise

    def failed(check: Callable[[], None]) -> None:
        raise ZeroDivisionError

    def never(check: Callable[[], None]) -> None:
        raise AssertionError("is not begun any more")

    with pytest.raises(ZeroDivisionError):
        beside([endless, failed, never], 2, "works")
    assert closed.is_set()


def test_what_is_raised_where_works_are_waited_for_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    join, interrupted = threading.Thread.join, []

    def joined(self: threading.Thread, timeout: float | None = None) -> None:
        if not interrupted:
            interrupted.append(self)
            raise KeyboardInterrupt
        join(self, timeout)

    def endless(check: Callable[[], None]) -> None:
        with asking(check), Bar(total=10**9, desc="search", unit="frame", disable=None) as bar:
            while True:
                bar.update()

    monkeypatch.setattr(Bar, "monitor_interval", 0)  # tqdm's own thread
    monkeypatch.setattr(threading.Thread, "join", joined)
    with pytest.raises(KeyboardInterrupt):
        beside([endless], 2, "works")


def test_works_tell_whoever_was_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bar, "monitor_interval", 0)  # tqdm's own thread
    told: list[tuple[str, int, int]] = []

    def work(check: Callable[[], None]) -> None:
        with asking(check), Bar(total=2, desc="speak", unit="frame") as bar:
            bar.update()

    with telling(lambda *step: told.append(step)):
        beside([work], 1, "works")
    assert told == [("speak", 1, 2)]
