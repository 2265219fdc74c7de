"""The face of a short result: chosen by the frames that it shows, not by what else was searched beside them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from core.errors import NoFace
from lipsync.planning.face_selection import FaceSelector
from lipsync.settings import Settings
from tests.helpers.failing import fails
from tests.helpers.painted import Painted, scene
from video import probe, write_video

SETTINGS = Settings(cache=None, on_no_face="keep", max_gap=0.0)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody, then a small red face, from frame 40 on a large blue one besides; all in one block of the search."""
    path = tmp_path_factory.mktemp("shown") / "film.mkv"
    clip = [scene(red=(10, 10, 20) if k >= 20 else None, blue=(60, 5, 60) if k >= 40 else None) for k in range(80)]
    write_video(path, iter(clip), Fraction(25), codec="ffv1")
    return path


def chosen(film: Path, start: int, stop: int) -> int:
    track = FaceSelector(probe(film), SETTINGS, Painted).track("largest", start, stop)
    return round(float(np.nanmedian(track.boxes[:, 2] - track.boxes[:, 0])))


@pytest.mark.parametrize(("start", "stop", "side"), [(20, 32, 20), (0, 25, 20), (40, 52, 60), (0, 80, 60)])
def test_it_is_the_largest_of_those_who_are_shown(film: Path, start: int, stop: int, side: int) -> None:
    assert chosen(film, start, stop) == side


def test_nobody_who_comes_later_is_taken_for_it(film: Path) -> None:
    with fails(NoFace, film, "0-11"):
        chosen(film, 0, 12)
