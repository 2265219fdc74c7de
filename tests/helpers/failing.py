"""What a problem must be: of one kind, one sentence, and in it whatever it is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def fails(
    kind: type[BaseException] | tuple[type[BaseException], ...], *names: object
) -> Iterator[pytest.ExceptionInfo[Any]]:
    """Expects what is within to raise this very kind (or one of these), in one sentence that has all of `names` in it.

    names: the file, flag, setting or number that it is about, and a remedy where that is the promise; of a path, its
    last name is enough.
    """
    with pytest.raises(kind) as caught:
        yield caught
    kinds = kind if isinstance(kind, tuple) else (kind,)
    assert type(caught.value) in kinds, f"{type(caught.value).__name__}: {caught.value}"
    check_sentence(str(caught.value), *names)


def check_error(said: str, *names: object) -> None:
    """What a program said on standard error: one error, in one sentence that has all of `names` in it, no traceback."""
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in said, said
    check_sentence(errors[0], *names)


def check_sentence(sentence: str, *names: object) -> None:
    """One line, which names what it is about."""
    assert sentence and "\n" not in sentence, sentence
    for name in names:
        assert (name.name if isinstance(name, Path) else str(name)) in sentence, f"{name} is not in: {sentence}"
