"""What a client is told of a problem: one sentence, and what its exit code means."""

from typing import Any

from core.errors import LipSyncError

MEANINGS = {
    1: "a bug of ours, with a traceback in the server's output",
    2: "wrong usage or input",
    3: "no face where one is needed",
    4: "out of memory, even for the smallest batch",
    130: "stopped",
}
"""Of the exit codes of every program here (core/errors.py)."""


class Refused(LipSyncError):  # noqa: N818
    """A request that is answered by a sentence and an HTTP status; `retry` is in how many seconds it may go well."""

    def __init__(self, status: int, sentence: str, *, retry: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.retry = status, retry


def told(sentence: str, code: int = 2) -> dict[str, Any]:
    """The problem as JSON."""
    return {"error": sentence, "exit_code": code, "meaning": MEANINGS.get(code, "unknown")}
