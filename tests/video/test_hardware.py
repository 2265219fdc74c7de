"""Encoders that are a chip's: asked for by name, a sentence where there is none; the file without them stays x264's."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from core.errors import BadInput, BadValue
from lipsync.cli.flags import parser
from lipsync.settings import Settings
from tests.helpers.failing import fails
from video import codecs, probe, read_frames, write_video

PICTURES = [np.full((96, 128, 3), 8 * k, np.uint8) for k in range(12)]


@pytest.mark.parametrize("name", list(codecs.HARDWARE))
def test_one_that_is_not_there_is_a_sentence_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    try:
        codecs.hardware(name, 16)
    except BadInput as problem:
        assert "leave the flag out" in str(problem) and "\n" not in str(problem)
    else:
        pytest.skip("this machine has it")
    with fails(BadValue, name):
        write_video(tmp_path / "a.mp4", iter(PICTURES), Fraction(25), encoder=name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_nobody_knows_is_refused() -> None:
    with fails(BadValue, "--encoder h264_magic", "h264_nvenc"):
        codecs.hardware("h264_magic", 16)


def test_it_is_handed_frames_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """x264 stands for a chip here: it too takes another order of colours than the usual one."""
    monkeypatch.setitem(codecs.HARDWARE, "libx264", ("nv12", lambda crf: {"crf": str(crf)}))
    write_video(tmp_path / "a.mp4", iter(PICTURES), Fraction(25), encoder="libx264")
    assert probe(tmp_path / "a.mp4").frames == 12
    shown = np.stack(list(read_frames(tmp_path / "a.mp4"))).astype(int)
    assert np.abs(shown - np.stack(PICTURES)).max() <= 3


def test_it_is_of_h264_alone() -> None:
    with fails(BadValue, "--encoder", "h264", "prores"):
        Settings(codec="prores", encoder="h264_nvenc")


def test_flags_offer_all_that_there_are() -> None:
    (action,) = [action for action in parser()._actions if action.dest == "encoder"]
    assert action.choices is not None and set(action.choices) == set(codecs.HARDWARE)
