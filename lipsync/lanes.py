"""Stretches of one result made side by side, for systems whose frames must follow each other.

Within a stretch a frame waits for the one before it, so a network alone with one stretch makes one frame at a time.
Each of several stretches gets a lane, a thread of its own that reads, cuts, pastes and writes; what the lanes want of
the network is asked here, in one batch.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")
Ask = Callable[[Q], A]


class Closed(Exception):  # noqa: N818
    """Ends a lane whose neighbour failed."""


class Lanes(Generic[Q, A]):
    """Works that run side by side, each in a thread, until all have ended.

    answer: {place: question} -> {place: answer}.  It is called in the thread that calls `run`, whenever every lane that
    has not ended has asked; so it may hold whatever belongs to one thread, and Ctrl-C is noticed there.
    """

    def __init__(self, answer: Callable[[Mapping[int, Q]], Mapping[int, A]]) -> None:
        self._answer = answer
        self._change = threading.Condition()
        self._asked: dict[int, Q] = {}
        self._answers: dict[int, A] = {}
        self._problems: list[BaseException] = []
        self._running = 0
        self._closed = False

    def run(self, works: Mapping[int, Callable[[Ask[Q, A]], None]]) -> None:
        """Runs the work of each place.  If one raises, the others end, and the first problem is raised here."""
        threads = [threading.Thread(target=self._lane, args=(*item,), daemon=True) for item in works.items()]
        self._running = len(threads)
        try:
            for thread in threads:
                thread.start()
            while self._serve():
                pass
        finally:
            with self._change:
                self._closed = True
                self._change.notify_all()
            for thread in threads:
                thread.join()
        if self._problems:
            raise self._problems[0]

    def _serve(self) -> bool:
        """Answers once.  False when all lanes have ended, or one has failed."""
        with self._change:
            self._change.wait_for(lambda: self._problems or len(self._asked) == self._running)
            if self._problems or not self._running:
                return False
            self._answers = dict(self._answer(self._asked))
            self._asked = {}
            self._change.notify_all()
        return True

    def _lane(self, place: int, work: Callable[[Ask[Q, A]], None]) -> None:
        try:
            work(lambda question: self._ask(place, question))
        except Closed:
            pass
        except BaseException as problem:  # noqa: BLE001, raised again by `run`
            self._problems.append(problem)
        finally:
            with self._change:
                self._running -= 1
                self._change.notify_all()

    def _ask(self, place: int, question: Q) -> A:
        with self._change:
            self._asked[place] = question
            self._change.notify_all()
            self._change.wait_for(lambda: self._closed or place in self._answers)
            if self._closed:
                raise Closed
            return self._answers.pop(place)


def rounds(numbers: Sequence[int], side: int) -> list[dict[int, int]]:
    """Which of these segments are made side by side, {place: number}.

    Each has its place, number % side, whoever makes it and whatever is left to do; so a segment is always the same item
    of a batch of one size.
    """
    found: dict[int, dict[int, int]] = {}
    for number in numbers:
        found.setdefault(number // side, {})[number % side] = number
    return list(found.values())


def abreast(total: int, most: int) -> int:
    """How many of `total` segments are made side by side, at most `most`: as evenly as rounds can be filled."""
    return -(-total // -(-total // most))
