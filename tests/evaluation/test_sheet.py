"""Contact sheets show the same moments of two videos, and what differs."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import BadValue, NoData
from evaluation.cli import main
from evaluation.commands.sheet import pairs, sheet, write_animation, write_picture
from evaluation.report.sheet import moments
from tests.helpers.failing import fails
from video import probe, write_video

SAMPLE = Path(__file__).parents[2] / "scripts" / "demo"


@pytest.mark.parametrize(("frames", "count"), [(1, 6), (5, 6), (6, 6), (97, 6), (10_000, 1)])
def test_moments_are_spread_evenly_over_the_video(frames: int, count: int) -> None:
    chosen = moments(frames, count)
    assert len(chosen) == min(frames, count)
    assert chosen[0] >= 0 and chosen[-1] < frames
    ends = np.diff([-chosen[0] - 1, *chosen, 2 * frames - chosen[-1] - 1])  # mirrored at both ends
    assert ends.max() - ends.min() <= 2


def grey(value: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_the_rows_show_the_same_moments(tmp_path: Path) -> None:
    before, after = tmp_path / "before.mp4", tmp_path / "after.mp4"
    write_video(before, (grey(20 * k) for k in range(10)), Fraction(25))
    write_video(after, (grey(10 * k) for k in range(19)), Fraction(25))  # longer: BEFORE runs back again
    shades = [(round(top.mean() / 20), round(bottom.mean() / 10)) for top, bottom in pairs(before, after, 19)]
    assert shades == [(min(k, 18 - k), k) for k in range(19)]


def test_a_still_picture_repeats(tmp_path: Path) -> None:
    write_video(tmp_path / "after.mp4", (grey(10 * k) for k in range(12)), Fraction(25))
    shown = pairs(SAMPLE / "portrait.jpg", tmp_path / "after.mp4", 3)
    assert len(shown) == 3
    assert all(np.array_equal(top, shown[0][0]) for top, _ in shown)


def test_a_sheet_has_a_column_per_moment_and_two_rows() -> None:
    page = sheet([(grey(0), grey(5)), (grey(50), grey(55))], height=64)  # twice the frames' size, and nearly the same
    assert page.shape == (2 * 64 + 12, 2 * 96 + 12, 3)
    assert [page[row, column, 0] for row in (36, 104) for column in (50, 150)] == [0, 50, 5, 55]
    assert (page[:4] == 255).all() and (page[68:72] == 255).all() and (page[:, :4] == 255).all()


def test_two_more_rows_show_what_differs_enlarged() -> None:
    before, after = np.full((60, 80, 3), 100, np.uint8), np.full((60, 80, 3), 100, np.uint8)
    after[40:52, 30:46] = 200
    page = sheet([(before, before), (before, after)], height=60)
    assert page.shape == (4 * 60 + 20, 2 * 80 + 12, 3)
    assert (page[197:255, 7:81] == 100).all()  # of the moment at which it does not differ, the same part
    assert 0.1 < (page[197:255, 91:165] == 200).all(axis=2).mean() < 0.9
    before = np.full((30, 40, 3), 100, np.uint8)
    assert len(sheet([(before, after)], height=60)) == 2 * 60 + 12


def test_a_sheet_is_a_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "für dich.png", grey(7))
    assert (cv2.imdecode(np.fromfile(tmp_path / "für dich.png", np.uint8), cv2.IMREAD_COLOR) == 7).all()
    with fails(BadValue, "sheet.mp4"):
        write_picture(tmp_path / "sheet.mp4", grey(7))


def test_a_sheet_is_made_of_a_picture_and_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_video(tmp_path / "after.mp4", (grey(10 * k) for k in range(5)), Fraction(25))
    words = ["sheet", str(SAMPLE / "portrait.jpg"), str(tmp_path / "after.mp4")]
    assert main([*words, str(tmp_path / "sheet.png"), "--frames", "2"]) == 0
    assert probe(tmp_path / "sheet.png").height == 2 * 256 + 12
    assert main([*words, str(tmp_path / "sheet.txt")]) == 2 and capsys.readouterr().err.count("\n") == 1


def test_what_differs_moves(tmp_path: Path) -> None:
    marked = [grey(100) for _ in range(25)]
    for k, picture in enumerate(marked):
        picture[10:20, 10:30] = 4 * k
    write_video(tmp_path / "after.mp4", iter(marked), Fraction(25), crf=0)
    write_picture(tmp_path / "before.png", grey(100))
    write_animation(tmp_path / "moves.gif", tmp_path / "before.png", tmp_path / "after.mp4", 40)
    shown = probe(tmp_path / "moves.gif")
    assert shown.height == 40 and shown.frames == 12 and 0.9 <= shown.frames / shown.fps <= 1
    write_video(tmp_path / "same.mp4", (grey(100) for _ in range(3)), Fraction(25))
    with fails(NoData, "same.mp4", "before.png"):
        write_animation(tmp_path / "none.gif", tmp_path / "before.png", tmp_path / "same.mp4", 40)
