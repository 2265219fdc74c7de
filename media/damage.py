"""What is wrong with files that are used all the same: said once a file, and kept for whoever reports of them."""

import threading
from collections.abc import Callable, Set
from pathlib import Path

from core.progress import say_once

File = tuple[str, int, int]
_sentences: dict[File, dict[str, str]] = {}
_places: dict[tuple[File, str], set[int]] = {}
_turn = threading.Lock()


def note(path: Path, kind: str, sentence: str) -> None:
    """Keeps and says a sentence about a file as it is now, the first of its kind."""
    with _turn:
        kept = _sentences.setdefault(_file(path), {}).setdefault(kind, sentence)
    say_once(kept, f"{kind} {path.absolute()}")


def note_at(path: Path, kind: str, place: int, told: Callable[[Set[int]], str]) -> None:
    """As `note`, for what is found piece by piece: the first is said, all are kept.

    told: the sentence, of all places of a file that are known by now.
    """
    with _turn:
        places = _places.setdefault((_file(path), kind), set())
        if place in places:
            return
        places.add(place)
        sentence = _sentences.setdefault(_file(path), {})[kind] = told(places)
    say_once(sentence, f"{kind} {path.absolute()}")


def is_noted(path: Path, kind: str) -> bool:
    """Whether there is a sentence of this kind about a file as it is now."""
    with _turn:
        return kind in _sentences.get(_file(path), {})


def damage_of(*paths: Path | None) -> list[str]:
    """What was noted of these files, as they are now, a sentence each; nothing of those that nobody has read."""
    return list(dict.fromkeys(sentence for path in paths for _, sentence in _noted(path)))


def say_damage(path: Path) -> None:
    """Says what was noted of a file before, by another piece of work."""
    for kind, sentence in _noted(path):
        say_once(sentence, f"{kind} {path.absolute()}")


def _noted(path: Path | None) -> list[tuple[str, str]]:
    if path is None or not path.is_file():
        return []
    with _turn:
        return list(_sentences.get(_file(path), {}).items())


def _file(path: Path) -> File:
    state = path.stat()
    return str(path.absolute()), state.st_mtime_ns, state.st_size
