"""The table of python -m evaluation clips says of every video what became of it, and by how much its sound is late."""

import os
from fractions import Fraction

import numpy as np
import pytest

from audio import Waveform
from core.errors import NoData, NotFound
from core.rows import read_rows
from evaluation.cli import main
from evaluation.commands.clips import lag, write_list
from tests.helpers.failing import fails
from tests.helpers.talking_head import talking, tone
from video import Mono, write_video


def noise(seconds: float, rate: int = 16_000) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, round(seconds * rate)).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.2, 3, 7])
@pytest.mark.parametrize("late", [-160, 0, 1, 333])
def test_a_lag_is_found_to_one_sample(seconds: float, late: int) -> None:
    whole = noise(seconds + 0.1)
    given, heard = whole[400:], whole[400 - late : len(whole) - late if late > 0 else None]
    assert lag(Waveform(given, 16_000), Waveform(heard, 16_000)) == pytest.approx(late / 16_000, abs=1e-9)


def test_no_lag_where_there_is_nothing_to_compare() -> None:
    sound = Waveform(noise(1), 16_000)
    for other in (np.zeros(16_000, np.float32), noise(2)[16_000:], np.zeros(0, np.float32)):
        assert lag(sound, Waveform(other, 16_000)) is None


@pytest.mark.slow
def test_a_row_for_every_video_and_why_others_have_none(checkpoint, folder, tmp_path, capsys) -> None:
    videos, faceless = tmp_path / "videos", range(4, 8)
    videos.mkdir()
    write_video(videos / "person.mp4", talking(18, faceless), Fraction(25), sound=tone(tmp_path / "own.wav", 0.72))
    nothing = Mono([np.zeros(8000, np.float32)], 16_000)
    write_video(videos / "quiet.mp4", talking(6), Fraction(25), sound=nothing)
    (videos / "broken.mov").write_text("no video")
    (videos / "notes.txt").write_text("no video either")
    flags = ["--model_path", checkpoint, "--device", "cpu", "--face_detector", "haar", "--steps", "1", "--max_gap", "0"]
    code = main(["clips", str(videos), "--sample_path", str(tmp_path / "out"), *map(str, flags)])
    said = capsys.readouterr().out.splitlines()
    header, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in said if line.startswith("| ")]
    cells, quiet = (dict(zip(header, row, strict=True)) for row in rows if "---" not in row)
    assert code == 5 and said[-1].startswith("broken.mov: ") and not any("notes" in line for line in said)
    assert (cells["size"], cells["fps"], cells["in"], cells["out"]) == ("256x192", "25.000", "18", "18")
    assert int(cells["edited"]) == 14 and cells["no face in"] == "4..7"
    assert abs(float(cells["sound late, ms"])) < 1 and "generate, s" in cells
    assert (quiet["out"], quiet["sound late, ms"]) == ("6", "silent")
    assert not {"clips.csv", "clips.jsonl"} & {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("name", ["a\u2028b\x85c.mp4", os.fsdecode(b"caf\xe9.mp4"), "a\tb, c.mp4", "a .mp4"])
def test_a_video_of_any_name_is_listed(tmp_path, name) -> None:
    (tmp_path / name).touch()
    (path,) = write_list(tmp_path / "list.jsonl", tmp_path, None)
    assert path == str(tmp_path / name)
    assert [row for _, row in read_rows(tmp_path / "list.jsonl")] == [{"video": path, "audio": path}]


def test_a_folder_without_videos_is_refused(tmp_path) -> None:
    for place, kind in ((tmp_path, NoData), (tmp_path / "none", NotFound)):
        with fails(kind, place):
            write_list(tmp_path / "list.csv", place, None)
    assert not list(tmp_path.iterdir())
