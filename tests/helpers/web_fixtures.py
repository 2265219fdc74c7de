"""A tiny model, small files, and a server that all tests of the page and the API share (a plugin of pytest)."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from tests.helpers.talking_head import talking, tone
from tests.helpers.tiny_style import save
from tests.helpers.web_server import Server, serving
from video import write_video


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A style model of a thumbnail's size."""
    return save(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """person.mp4: 20 frames.  long.wav: 14 s, whose result has two chunks.  words.wav: 0.6 s.  broken.mp4: is none."""
    folder = tmp_path_factory.mktemp("inputs")
    write_video(folder / "person.mp4", talking(20), Fraction(25))
    tone(folder / "words.wav", 0.6)
    tone(folder / "long.wav", 14.0)
    (folder / "broken.mp4").write_bytes(b"no video" * 1000)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Server]:
    """One for all tests that change nothing but their own jobs; files may last 20 s, and a request have 2 MiB."""
    flags = ("--max_seconds", "20", "--max_upload", "2", "--max_queue", "50")
    with serving(tmp_path_factory.mktemp("server") / "data", model, *flags) as found:
        yield found
