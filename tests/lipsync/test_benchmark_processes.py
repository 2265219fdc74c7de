"""scripts/benchmark_processes.py: any number of processes over one list, timed within rounds, results compared."""

from fractions import Fraction

import pytest

from lipsync.cli.filelist import read_list
from scripts import benchmark_processes
from scripts.benchmark_processes import Run, environments, main, make_list, table
from tests.helpers.talking_head import talking, tone
from video import write_video


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    alone = [Run(t, (8.0,), (2 << 20,), "same") for t in (10.0, 20.0, 40.0)]
    two = [Run(t, (4.0, 5.0), (2 << 20, 1 << 20), "same") for t in (5.0, 16.0, 16.0)]
    said = table({1: alone, 2: two})
    assert "| 1 | 20.0 | 1.00 | 8.0, 8.0 | 2, 2 |" in said and "| 2 | 16.0 | 2.00 | 5.0, 9.0 | 2, 3 |" in said
    assert "are the same" in said and "differ" in table({1: alone, 2: [Run(1.0, (1.0,), (1,), "other")] * 3})


def test_every_process_is_told_its_place_and_nothing_of_an_outer_launcher(monkeypatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "3")
    told = environments(2)
    assert [env["RANK"] for env in told] == ["0", "1"] and {env["WORLD_SIZE"] for env in told} == {"2"}
    assert len({env["MASTER_PORT"] for env in told}) == 1 and not any("OMPI_COMM_WORLD_RANK" in env for env in told)


@pytest.mark.slow
def test_the_list_of_the_demo_asks_for_eight_videos(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(benchmark_processes, "FRAMES", 3)
    items = read_list(make_list(tmp_path), ["--sample_path", str(tmp_path / "out")])
    assert len(items) == 8 and all(item.job.video.exists() and item.job.audio.exists() for item in items)


@pytest.mark.slow
def test_one_and_two_processes_are_compared(checkpoint, tmp_path, capfd) -> None:
    for name in ("anna", "bert"):
        write_video(tmp_path / f"{name}.mp4", talking(6), Fraction(25))
    tone(tmp_path / "words.wav", 0.24)
    (tmp_path / "list.csv").write_text("video,audio\nanna.mp4,words.wav\nbert.mp4,words.wav\n")
    flags = ["--model_path", checkpoint, "--device", "cpu", "--face_detector", "haar", "--steps", "1"]
    given = ["--processes", "1", "2", "--rounds", "1", "--filelist", tmp_path / "list.csv", *flags]
    assert main(list(map(str, given))) == 0
    assert "All results are the same, byte for byte." in capfd.readouterr().out
    assert main([*map(str, given), "--crf", "99"]) == 2
    said = capfd.readouterr().err
    assert "1 processes could not make the list: " in said and "--crf 99" in said
