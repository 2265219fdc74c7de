"""What the command line answers: a short help, what was meant, and paths without flags."""

import shutil
from pathlib import Path

import pytest

from lipsync.cli.flags import parser
from lipsync.cli.main import generate
from tests.helpers.failing import check_error


def said(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        parser().parse(args)
    return int(end.value.code or 0), *capsys.readouterr()


def test_help_fits_a_screen_and_all_shows_all(capsys: pytest.CaptureFixture[str]) -> None:
    code, short, _ = said(capsys, "--help")
    assert code == 0 and len(short.splitlines()) < 60 and "--help all" in short and "--feather" not in short
    code, whole, _ = said(capsys, "--help", "all")
    shown = [action for action in parser()._actions if action.help != "==SUPPRESS=="]
    assert code == 0 and all(name in whole for action in shown for name in action.option_strings)
    assert said(capsys, "--version")[1].startswith("lip-sync ")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--outfile", "x.mp4"], "--output instead of --outfile"),
        (["--checkpoint-path", "x.pt"], "--model_path instead of --checkpoint_path"),
        (["--lenght", "video"], "--length instead of --lenght"),
        (["--qualty=best"], "--quality instead of --qualty"),
    ],
)
def test_a_near_miss_is_answered(given: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, message = said(capsys, *given)
    assert code == 2 and f"did you mean {meant}?" in message and len(message.splitlines()) == 1


def test_nothing_is_guessed_where_nothing_is_near(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, message = said(capsys, "--quux")
    assert code == 2 and "did you mean" not in message


@pytest.mark.slow
def test_paths_without_flags(
    folder: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("person.mp4", "words.wav"):
        shutil.copy(folder / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    usual = ["--model_path", str(checkpoint), "--face_detector", "haar", "--device", "cpu", "--end", "0.1"]
    assert generate(["person.mp4", *usual, "words.wav", "out/result.mp4"]) == 0 and Path("out/result.mp4").exists()
    assert generate(["person.mp4", "words.wav", *usual]) == 0 and Path("person_words.mp4").exists()
    made = Path("person_words.mp4").read_bytes()
    capsys.readouterr()
    for args, *named in (
        (["person.mp4", "words.wav"], "person_words.mp4", "VIDEO AUDIO RESULT"),
        (["person.mp4", "words.wav", "person.mp4"], "person.mp4", "--video"),
        (["person.mp4", "words.wav", "-v", "person.mp4"], "person.mp4", "--video"),
        (["person.mp4", "words.wav", "a.mp4", "b.mp4"], "b.mp4", "VIDEO AUDIO [RESULT]"),
        (["--face", "person.mp4", "-a", "words.wav", "-o", "a.mp4"], "--face person.mp4", "--video"),
    ):
        assert generate([*args, *usual]) == 2
        check_error(capsys.readouterr().err, *named)
    assert Path("person_words.mp4").read_bytes() == made
