"""Numbers and texts of no video are refused at the edge: exit 2, one sentence, before anything is loaded."""

import json
from pathlib import Path

import pytest

from lipsync.cli.main import generate

NUMBERS = [
    "--start nan", "--start inf", "--start 1e30", "--start 1:nan", "--end nan", "--end inf", "--fps 1/0", "--fps 1e30",
    "--fps nan", "--fps 0", f"--seed {2**63}", "--seed -1", "--seed 1e5", f"--seed {'9' * 5000}", "--batch 1000000",
    "--batch -1", f"--batch {'9' * 5000}", "--face_det_batch_size 10000000", "--threads 0", "--threads 100000000",
    "--max_gap nan", "--max_gap inf", "--feather nan", "--style_strength nan", "--crf 99", "--pads nan,0,0,0",
    "--audio_strength nan", "--audio_strength -1", "--audio_strength 4.5",
    "--pads 0,0,0,1e30", "--box 0,inf,0,9", "--box nan,9,0,9", "--preview nan", "--preview inf", "--preview 1e30",
    f"--face index:{'9' * 5000}", f"--face point:{'9' * 400},1", f"--face point:1,1@{'9' * 400}",
]  # fmt: skip


@pytest.fixture
def here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("person.mp4", "words.wav"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ends(args: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    try:
        code = generate(args)
    except SystemExit as end:  # argparse's own
        code = int(end.code or 0)
    return code, capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("flags", NUMBERS, ids=[text[:30] for text in NUMBERS])
def test_numbers(here, checkpoint, capsys, flags):
    output = "x.png" if "--preview" in flags else "x.mp4"
    code, said = ends(["--video", "person.mp4", "--audio", "words.wav", "-o", output, "--model_path", str(checkpoint),
                       *flags.split(" ", 1)], capsys)  # fmt: skip
    assert code == 2 and "Traceback" not in said and not (here / output).exists()


ROWS = {
    "a long field": "start,end,face,sound\n0,1,largest," + "x" * 200_000,
    "nan": "start,end,face,sound\nnan,1,largest,words.wav",
    "inf": "start,end,face,sound\n0,inf,largest,words.wav",
    "far": "start,end,face,sound\n1e30,,largest,words.wav",
    "deep": "[" * 100_000,
    "half a character": '{"start": 0, "face": "largest", "sound": "\\ud800.wav"}',
    "a zero byte": '{"start": 0, "sound": "a\\u0000.wav"}',
    "a long number": '{"start": ' + "9" * 5000 + "}",
    "a list for a number": '{"start": [1]}',
    "JSON's NaN": '{"start": NaN, "sound": "words.wav"}',
    "too many cells": "start,end\n0,1,largest,words.wav",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", ROWS.values(), ids=ROWS)
def test_segments(here, checkpoint, capsys, text):
    name = "s.jsonl" if text[0] in "{[" else "s.csv"
    (here / name).write_text(text)
    code, said = ends(["--video", "person.mp4", "--segments", name, "-o", "x.mp4", "--model_path", str(checkpoint)],
                      capsys)  # fmt: skip
    assert code == 2 and "Traceback" not in said


@pytest.mark.parametrize(
    "row", [
        {"face": "bob"}, {"start": "nan"}, {"fps": "1/0"}, {"video": "a\0.mp4"}, {"video": "\ud800"}, {"box": "1,2"},
    ],
    ids=str,
)  # fmt: skip
def test_rows(here, checkpoint, capsys, row):
    (here / "l.jsonl").write_text(json.dumps({"video": "person.mp4", "audio": "words.wav", "output": "x.mp4"} | row))
    code, said = ends(["--filelist", "l.jsonl", "--sample_path", "out", "--model_path", str(checkpoint)], capsys)
    assert code == 2 and "Traceback" not in said and not (here / "out").exists()
