"""Memory that files' caches hold is there to be taken."""

import math
import os
from pathlib import Path

import pytest

from core import memory
from core.memory import available_memory

TEXT = "MemTotal: 24683520 kB\nMemFree: 400000 kB\nMemAvailable: 19000000 kB\nCached: 18000000 kB\n"


def test_caches_count_as_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tmp_path / "meminfo"
    said.write_text(TEXT, encoding="ascii")
    monkeypatch.setattr(memory, "Path", lambda name: said)
    assert available_memory() == 19_000_000 * 1024


@pytest.mark.parametrize("text", [None, "", "MemAvailable: kB", "MemTotal: 5 kB"])
def test_a_system_that_does_not_say(text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tmp_path / "meminfo"
    if text is not None:
        said.write_text(text, encoding="ascii")
    monkeypatch.setattr(memory, "Path", lambda name: said)
    assert available_memory() > 1e8
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert math.isinf(available_memory())
