"""What all command lines have in common: dashes, mistakes in one sentence, and files of flags."""

import json
import os
import re
from pathlib import Path

import pytest

from core.errors import BadInput, BadValue, NotFound, Unreadable, not_opened
from core.flags import Parser, add_config, read_config, write_config
from core.guard import reads
from lipsync.cli.flags import parser as of_generate
from lipsync.cli.flags import settings
from tests.helpers.failing import fails


def small() -> Parser:
    parser = Parser("Says what it is.", names={"sort": "kind"})
    parser.add_argument("--kind", choices=("a", "b"))
    parser.add_argument("--held_out", type=float, default=0.5)
    parser.add_argument("--min-face", type=int)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no_cache", dest="use_cache", action="store_false")
    parser.add_argument("--data", type=reads)
    add_config(parser)
    return parser


def test_dashes_and_underscores_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["--held-out", "0.1", "--min_face=3"], ["--held_out=0.1", "--min-face", "3"]):
        options = small().parse_args(words)
        assert (options.held_out, options.min_face) == (0.1, 3)
        monkeypatch.setattr("sys.argv", ["program", *words])
        assert small().parse_args() == options
    assert small().parse_args(["--data=a-b"]).data == Path("a-b")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--conf", "f"], "unrecognized arguments: --conf"),
        (["--held_oot", "1"], "did you mean --held_out instead of --held_oot?"),
        (["--sort", "a"], "did you mean --kind instead of --sort?"),
        (["--held_out", "much"], "invalid float value: 'much'"),
        (["--kind", "c"], "invalid choice: 'c'"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        small().parse_args(words)
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith("error: ") and said.count("\n") == 1
    assert sentence in said and said.endswith("--help\n")


def test_a_file_of_flags_and_the_command_line_wins(tmp_path: Path) -> None:
    written = {
        "flags.json": '{"held-out": 0.25, "quick": true, "no_cache": false, "kind": null, "set": ["a.b=1"]}',
        "flags.toml": 'held_out = 0.25\nquick = true\nset.a.b = 1',
    }
    for name, text in written.items():
        file = tmp_path / name
        file.write_text(text)
        options = small().parse_args(["--config", str(file)])
        assert (options.held_out, options.quick, options.use_cache, options.set) == (0.25, True, True, ["a.b=1"])
        won = small().parse_args(["--held_out", "0.75", f"--config={file}", "--set", "a.b=2"])
        assert won.held_out == 0.75 and won.set == ["a.b=1", "a.b=2"] and won.config == file


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        ('{"held_oot": 1}', BadValue, ("'held_oot'", "held_out?")),
        ('{"sort": "a"}', BadValue, ("'sort'", "kind?")),
        ('{"config": "x"}', BadValue, ("'config'",)),
        ('{"quick": "yes"}', BadValue, ("quick", "'yes'")),
        ('{"kind": {"a": 1}}', BadValue, ("kind",)),
        ('{"set": 3}', BadValue, ("set", "NAME=VALUE")),
        ("{", Unreadable, ()),
        ("a = = 1", Unreadable, ()),
        (None, NotFound, ("no such file",)),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    text: str | None, kind: type[BadInput], named: tuple[str, ...], tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "flags").write_text(text)
    with fails(kind, "--config", "flags", *named):
        read_config(small(), tmp_path / "flags")


def test_what_a_run_writes_down_does_it_again(tmp_path: Path) -> None:
    words = [
        "--video", "person.mp4", "--audio", "für dich.wav", "--output", "r.mp4", "--fps", "29.97", "--pads", "0", "9",
        "0", "1", "--no-cache", "--compare", "--no_patch", "--use_ddim", "False", "--quality", "best",
        "--start", "1:02",
    ]  # fmt: skip
    first = of_generate().parse(words)
    write_config(of_generate(), first, tmp_path / "new" / "run.json")
    again = of_generate().parse(["--config", str(tmp_path / "new" / "run.json")])
    assert settings(again) == settings(first)
    assert (again.video, again.audio, again.output, again.save_orig) == (
        first.video, first.audio, first.output, first.save_orig,
    )  # fmt: skip
    table = json.loads((tmp_path / "new" / "run.json").read_text())
    assert table["no_cache"] is True and "original_num_channels" not in table and "write_config" not in table
    with fails(BadValue, "--write_config", ".json"):
        write_config(of_generate(), first, tmp_path / "run.txt")



def test_a_name_that_is_no_utf_8_is_written_down_too(tmp_path: Path) -> None:
    video = Path(os.fsdecode(b"caf\xe9.mp4"))
    write_config(small(), small().parse_args(["--data", str(video)]), tmp_path / "run.json")
    assert small().parse_args(["--config", str(tmp_path / "run.json")]).data == video


@pytest.mark.parametrize(
    ("problem", "kind", "remedy"),
    [
        (FileNotFoundError(), NotFound, "check the path"), (NotADirectoryError(), NotFound, "check the path"),
        (IsADirectoryError(), Unreadable, "is a folder"), (PermissionError(), Unreadable, "change its permissions"),
    ],
)  # fmt: skip
def test_what_the_system_does_not_open_has_a_remedy_that_fits(
    problem: OSError, kind: type[BadInput], remedy: str
) -> None:
    with fails(kind, "--config a.json", remedy):
        raise not_opened("--config a.json", problem) or problem
    assert not_opened("--config a.json", ValueError("Expecting value")) is None


def test_every_program_reads_its_command_line_so() -> None:
    root = Path(__file__).resolve().parents[1]
    places = ("*.py", "scripts/*.py", "dataset/**/*.py", "evaluation/*.py")
    files = [file for place in places for file in root.glob(place)]
    own = [str(file) for file in files if re.search(r"argparse\.ArgumentParser\(", file.read_text(encoding="utf-8"))]
    assert own == []
