"""Autoregressive stretches of results, advanced together so that the network sees a batch.

Each stretch has a lane, a thread that reads, cuts, pastes and writes; whenever all lanes have come to their next frame,
these are made in one batch, in the thread that started them.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.beside import Closed

Q = TypeVar("Q")
A = TypeVar("A")
Ask = Callable[[Q], A]
Work = Callable[[Ask[Q, A]], None]


class LockstepBatcher(Generic[Q, A]):
    """Works that run side by side, each lane in a thread, until all have ended.

    answer: {place: question} -> {place: answer}.  It is called in the thread that calls `run`, whenever every lane that
    has not ended has asked; so it may hold whatever belongs to one thread, and Ctrl-C is noticed there.  A problem
    instead of an answer, or raised instead of all of them, is raised where it was asked.
    """

    def __init__(self, answer: Callable[[Mapping[int, Q]], Mapping[int, A | Exception]]) -> None:
        self._answer = answer
        self._change = threading.Condition()
        self._asked: dict[int, Q] = {}
        self._answers: dict[int, A | Exception] = {}
        self._problems: list[BaseException] = []
        self._running = 0
        self._closed = False

    def run(self, works: Mapping[int, Iterable[Work[Q, A]]]) -> None:
        """Runs the works of each place, one after another.  If one raises, all end, and the problem is raised here."""
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
                if thread.ident is not None:  # else there was no memory to start it
                    thread.join()
        if self._problems:
            raise self._problems[0]

    def _serve(self) -> bool:
        """Answers once.  False when all lanes have ended, or one has failed."""
        with self._change:
            self._change.wait_for(lambda: self._problems or len(self._asked) == self._running)
            if self._problems or not self._running:
                return False
            try:
                self._answers = dict(self._answer(self._asked))
            except Exception as problem:  # noqa: BLE001, raised again by whoever asked
                self._answers = dict.fromkeys(self._asked, problem)
            self._asked = {}
            self._change.notify_all()
        return True

    def _lane(self, place: int, works: Iterable[Work[Q, A]]) -> None:
        try:
            for work in works:
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
            return answered(self._answers.pop(place))


def answered(answer: A | Exception) -> A:
    """The answer, unless it is a problem."""
    if isinstance(answer, Exception):
        raise answer
    return answer


@dataclass(frozen=True)
class Slot:
    """The place of a stretch in a batch of `side`: always the same one, whoever makes it and whatever is left to do.

    So each of its frames is always the same item of a batch of one size.
    """

    place: int = 0
    side: int = 1


def slots(chunks: int, most: int, alone: Slot) -> list[Slot]:
    """Those of the chunks of one result, at most `most` side by side; alone: that of one that is all of its result.

    As many side by side as fill every round but the last.
    """
    if chunks == 1:
        return [alone]
    side = -(-chunks // -(-chunks // most))
    return [Slot(number % side, side) for number in range(chunks)]


def slot_in_list(number: int, results: int, most: int) -> Slot:
    """That of the short result of this number in a list of so many.

    Half of the list is made side by side, at most `most`: so that two processes that share a short one fill their
    batches, and that a lane whose results are short ones has another to go on with.
    """
    side = max(1, min(most, results // 2))
    return Slot(number % side, side)
