"""python -m evaluation finds what it is asked for, and answers --help before anything heavy loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.cli import main
from evaluation.flags import COMMANDS
from tests.helpers.failing import check_error

ROOT = Path(__file__).parents[2]


def test_help_answers_before_torch_loads() -> None:
    code = (
        "import sys\nfrom contextlib import suppress\nfrom evaluation.cli import main\n"
        f"for name in {sorted(COMMANDS)!r}:\n"
        "    with suppress(SystemExit):\n"
        "        main([name, '--help'])\n"
        "slow = {'torch', 'librosa', 'cv2', 'scipy', 'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "assert not slow, f'--help imports {slow}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: python -m evaluation") == len(COMMANDS)


def test_every_subcommand_is_named_and_has_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in COMMANDS if name != "results")
    files = {path.stem for path in (ROOT / "evaluation" / "commands").glob("*.py")} - {"__init__"}
    assert files == set(COMMANDS)


@pytest.mark.parametrize("flag", ["--mediapipe_python", "--weights"])
def test_a_path_of_what_measures_is_not_passed_over(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--real", tmp_path, "--fake", tmp_path, "--output", tmp_path / "out", flag, tmp_path / "nope"]
    assert main([*map(str, words)]) == 2
    check_error(capsys.readouterr().err, flag, "nope")


@pytest.mark.parametrize(
    ("words", "says"),
    [(["stlye"], "stlye"),
     (["drift", "--frames", "0"], "--frames"), (["reconstruct"], "--data")],
)  # fmt: skip
def test_a_mistake_is_one_sentence(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    check_error(capsys.readouterr().err, says)
