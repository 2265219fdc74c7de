"""Figures of a result are kept, and measured again when anything that they depend on is another one."""

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation import pair_scores
from evaluation.clip import FaceFinders
from evaluation.held_out import FULL, Pair
from evaluation.pair_scores import CROPS, VIDEOS, PairScores, measure


class Detecting:
    """Somebody of a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def detect(self, frames: object) -> list[list[object]]:
        raise AssertionError("nothing is looked at")


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """How many of the pairs of a whole video and of a crop, which say a sound, were measured and not known already."""
    loaded: list[str] = []
    monkeypatch.setattr(pair_scores, "load", lambda case, _: loaded.append(case.name) or SimpleNamespace())
    monkeypatch.setattr(pair_scores, "_values", lambda *_: {})
    pairs = [
        Pair(f"{group}/one", group, "ann", "speech", tmp_path / "one.mp4", tmp_path / "a.wav", Fraction(1))
        for group in ("test", FULL)
    ]
    for pair in pairs:
        result = tmp_path / "results" / f"{pair.name}.mp4"
        result.parent.mkdir(parents=True)
        for path in (result, pair.video, pair.sound):
            path.write_bytes(b"1")

    def run(*, detector: str = "yunet", most: int = 25) -> int:
        loaded.clear()
        finders = {
            protocol: FaceFinders(protocol, Detecting(detector), most=most)  # type: ignore[arg-type]
            for protocol in (CROPS, VIDEOS)
        }
        assert all(isinstance(one, PairScores) for one in measure(pairs, tmp_path, finders))
        return len(loaded)

    return run


@pytest.mark.parametrize("name", ["a.wav", "one.mp4", "results/test/one.mp4"])
def test_another_file_is_measured_again(tmp_path: Path, measured: Callable[..., int], name: str) -> None:
    assert measured() == 2 and measured() == 0
    (tmp_path / name).write_bytes(b"another")
    assert measured() == (1 if "results" in name else 2) and measured() == 0


def test_another_finder_is_asked_again_where_faces_are_looked_for(measured: Callable[..., int]) -> None:
    assert measured() == 2
    assert measured(detector="haar") == 1 and measured(detector="haar") == 0
    assert measured(detector="haar", most=50) == 2


def test_scores_of_an_older_version_are_measured_again(tmp_path: Path, measured: Callable[..., int]) -> None:
    assert measured() == 2
    for path in (tmp_path / "scores").rglob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"stamp": [2, 1, 5, "one.mp4", "1"]}))
    assert measured() == 2


def test_a_pair_is_what_its_files_are(tmp_path: Path) -> None:
    pair = Pair("test/one", "test", "ann", "own", tmp_path / "v.mp4", tmp_path / "v.mp4", Fraction(1))
    finder = FaceFinders(CROPS)
    (tmp_path / "r.mp4").write_bytes(b"1")
    stamp = pair_scores._stamp(pair, tmp_path / "r.mp4", finder)
    assert stamp is not None and stamp == json.loads(json.dumps(stamp))
    assert stamp != pair_scores._stamp(replace(pair, seconds=Fraction(2)), tmp_path / "r.mp4", finder)
    assert pair_scores._stamp(pair, tmp_path / "gone.mp4", finder) is None
