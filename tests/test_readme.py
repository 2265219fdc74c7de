"""Every command of the README runs, in its order, on small files of the names that it uses."""

import csv
import os
import re
import shlex
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from systems.registry import DEFAULT_CHECKPOINT
from tests.helpers import forked
from tests.helpers.talking_head import picture, talking, tone
from video import probe, write_video

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
SETTINGS = ("train.steps=2", "train.batch=8", "train.evaluate_every=2", "train.warmup=0", "train.cooldown=0")
SMALLER = {
    "train.py": [word for setting in SETTINGS for word in ("--set", setting)],
    "reconstruct": ["--frames", "1"],
}
VENV = Path(os.environ.get("VENV", ROOT / ".venv"))


def test_the_two_commands_come_first():
    assert COMMANDS[:2] == ["scripts/demo.sh", "scripts/test.sh"]
    assert "scripts/test.sh" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not (VENV / "requirements.txt.sha256").exists(), reason="run by scripts/test.sh, which sets up")
def test_demo():
    """Of whose five seconds one is spoken; the others pass as they are."""
    demo = [ROOT / "scripts" / "demo.sh", "--quality", "fast", "--end", "1"]
    subprocess.run(demo, check=True, capture_output=True, timeout=600)
    assert probe(ROOT / "demo.mp4").frames == 121 and (ROOT / "demo.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.skipif(not DEFAULT_CHECKPOINT.exists(), reason="no default checkpoint")
def test_the_other_commands(tmp_path):
    write_video(tmp_path / "person.mp4", talking(6), Fraction(25))
    tone(tmp_path / "words.wav", 0.4)
    rows = []
    for split in ("train", "seen", "test"):
        for k in range(2):
            name = f"{split}{k}.mp4"
            frames = (picture(j)[:176, 40:216] for j in range(10))
            write_video(tmp_path / name, frames, Fraction(25), sound=tone(tmp_path / "tone.wav", 0.4, 200 + 90 * k))
            rows.append({"file": name, "split": split, "speaker": f"speaker{k}"})
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "split", "speaker"])
        writer.writeheader()
        writer.writerows(rows)

    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for command in COMMANDS[2:]:
        python, *words = shlex.split(command)
        assert python == "python"
        program = words[0]
        words = [str(ROOT / word) if word.endswith(".py") else word for word in words]
        smaller = SMALLER.get(words[2] if program == "-m" else program, [])
        done = forked.run([*words, *smaller], cwd=tmp_path, env=environment)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert probe(tmp_path / "result.mp4").frames == 10


def test_every_file_that_it_names_is_there():
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert linked and all((ROOT / path).exists() for path in linked), linked
