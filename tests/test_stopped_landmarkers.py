"""Ctrl-C waits for the clips that landmarkers are looking at, not for all that are left."""

import argparse
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.errors import BadInput, BadValue
from dataset.source import Source
from scripts import fit_motion, pack_training
from tests.helpers.failing import fails


class Landmarker:
    """Stands in for MediaPipe."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> "Landmarker":
        return self

    def __exit__(self, *_: object) -> None: ...


class Watched:
    """Counts the clips that are looked at, 10 ms each."""

    def __init__(self, problem: BaseException | None) -> None:
        self.count, self._problem = 0, problem

    def __call__(self, *_: object) -> np.ndarray:
        self.count += 1
        if self.count == 3 and self._problem is not None:
            raise self._problem
        if self.count == 3:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.01)
        return np.zeros((1, 2, 3), np.float32)


def looked(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch, watched: Watched, processes: int = 2) -> None:
    """Runs one of the two scripts on 40 clips."""
    options = argparse.Namespace(
        output=folder, data=folder, processes=processes, mediapipe_python=None, landmarker=None, frames=1, numbers=1
    )
    paths = [folder / "test" / "ann" / f"{number}.npz" for number in range(40)]
    if script == "pack_training":
        monkeypatch.setattr(pack_training, "MediaPipe", Landmarker)
        monkeypatch.setattr(pack_training, "find_points", watched)
        pack_training.look([Source(path, path.name, "ann", path, framed=True) for path in paths], options)
    else:
        monkeypatch.setattr(fit_motion, "MediaPipe", Landmarker)
        monkeypatch.setattr(fit_motion, "label", watched)
        paths[0].parent.mkdir(parents=True)
        for path in paths:
            path.touch()
        fit_motion.run(options)


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is as everywhere, which those who run tests side by side switch off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("script", ["pack_training", "fit_motion"])
def test_ctrl_c_ends_it_after_the_clips_at_work(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(None)
    with pytest.raises(KeyboardInterrupt):
        looked(script, tmp_path, monkeypatch, watched)
    assert 3 <= watched.count < 10


@pytest.mark.parametrize("script", ["pack_training", "fit_motion"])
def test_a_landmarker_that_fails_ends_the_others(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(BadInput("the program has ended"))
    with fails(BadInput, "ended"):
        looked(script, tmp_path, monkeypatch, watched)
    assert 3 <= watched.count < 10


@pytest.mark.parametrize("run", [pack_training.run, fit_motion.run])
def test_nobody_at_work_is_refused(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with fails(BadValue, "--processes 0"):
        run(argparse.Namespace(processes=0, output=tmp_path, data=tmp_path))
