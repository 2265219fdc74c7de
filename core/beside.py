"""Work in threads beside this one: items made ahead of their reader, or used behind their writer, or whole works.

Items are handed on, in order, through a queue of a bounded size, and no thread is left behind: whatever is raised on
one side ends the other, once what was handed on before is used up.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(BaseException):
    """Ends a thread on whose work nobody waits any more.  It is no problem of its own, so what catches those lets it
    through."""


class Queue(Generic[T]):
    """Items on their way from one thread to another, at most `room` of them.  Either side may end it."""

    def __init__(self, room: int) -> None:
        if room < 1:
            raise ValueError(f"a queue holds items, not {room}")
        self._room = room
        self._items: deque[T] = deque()
        self._change = threading.Condition()
        self._end: BaseException | None = None
        self._left = False

    def put(self, item: T) -> None:
        """Waits for room.  Closed if the reader has left."""
        with self._change:
            self._change.wait_for(lambda: self._left or len(self._items) < self._room)
            if self._left:
                raise Closed
            self._items.append(item)
            self._change.notify_all()

    def end(self, problem: BaseException) -> None:
        """No more will come; the reader raises this when it has taken all: StopIteration where all is well."""
        with self._change:
            self._end = self._end or problem
            self._change.notify_all()

    def leave(self) -> None:
        """The reader wants no more."""
        with self._change:
            self._left = True
            self._items.clear()
            self._change.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._items or self._end is not None)
                if not self._items:
                    assert self._end is not None
                    if isinstance(self._end, StopIteration):
                        return
                    raise self._end
                item = self._items.popleft()
                self._change.notify_all()
            yield item


@contextmanager
def ahead(items: Iterable[T], room: int, name: str) -> Iterator[Iterator[T]]:
    """The items, made in a thread of that name, at most `room` and one ahead.

    A problem in making one is raised where it is taken.  Leaving it ends the thread.
    """
    queue = Queue[T](room)

    def run() -> None:
        try:
            for item in items:
                queue.put(item)
        except Closed:
            pass
        except BaseException as problem:  # noqa: BLE001, raised again by the reader
            queue.end(problem)
        finally:
            queue.end(StopIteration())

    thread = threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True)
    try:
        thread.start()
        yield iter(queue)
    finally:
        queue.leave()
        _join(thread)


@contextmanager
def behind(work: Callable[[Iterator[T]], None], room: int, name: str) -> Iterator[Callable[[T], None]]:
    """Gives what hands an item to `work`, which runs in a thread of that name and is at most `room` items behind.

    Leaving it waits until all is done.  A problem of the work is raised by the next item, or at the end.  One of this
    thread ends the work, by Closed, when it has used up what it was handed before.
    """
    queue, problems = Queue[T](room), []

    def run() -> None:
        try:
            work(iter(queue))
        except Closed:
            pass
        except BaseException as problem:  # noqa: BLE001, raised again by the writer
            problems.append(problem)
        finally:
            queue.leave()

    thread = threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True)
    try:
        thread.start()
        yield queue.put
        queue.end(StopIteration())
        thread.join()
    except BaseException as problem:
        queue.end(Closed())
        _join(thread)
        if problems and isinstance(problem, Closed):
            raise problems[0] from None
        raise
    if problems:
        raise problems[0]


def beside(works: Sequence[Callable[[Callable[[], None]], object]], most: int, name: str) -> None:
    """Does works in threads of that name, `most` at a time, begun in their order, and waits until all are done.

    Each is handed what it is to call from time to time, which raises Closed once all are to end: because one has
    raised a problem, which is then raised here, or because of what is raised here (Ctrl-C).
    """
    left, turn, over = iter(works), threading.Lock(), threading.Event()
    problems: list[BaseException] = []

    def check() -> None:
        if over.is_set():
            raise Closed

    def run() -> None:
        try:
            while True:
                with turn:
                    work = next(left, None)
                if work is None:
                    return
                check()
                work(check)
        except Closed:
            pass
        except BaseException as problem:  # noqa: BLE001, raised again below
            problems.append(problem)
            over.set()

    threads = [
        threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True)
        for _ in range(min(most, len(works)))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        over.set()
        for thread in threads:
            _join(thread)
    if problems:
        raise problems[0]


def _join(thread: threading.Thread) -> None:
    if thread.ident is not None:  # else there was no memory to start it
        thread.join()
